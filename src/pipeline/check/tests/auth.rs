//! What is said about logins and OAuth 2.0 clients.

use super::{say, say_job};

fn login(keys: &str) -> String {
    say_job(&format!("    auth: {{login: {{post: /in, {keys}}}}}\n"))
}

#[test]
fn logins_that_are_fine() {
    for keys in [
        "form: {username: admin, password: '${TOKEN}'}",
        "form: {username: admin, password: 'x${TOKEN}', at: '{{ now }}'}, success: '.success == 1 and $status == 200'",
        "body: {auth: {user: a, password: '${TOKEN}'}}, token: '\"Bearer \" + .token', into: headers.authorization",
        "body: {password: '${TOKEN}'}, token: '.token // $headers[\"x-token\"]', into: 'query[\"a b\"]'",
        "headers: {authorization: 'Basic ${TOKEN}'}",
    ] {
        assert_eq!(login(keys), "", "{keys}");
    }
    let post = "    post: /rows\n    body: {a: {b: 1}}\n";
    let into = "    auth: {login: {post: /in, body: {password: '${TOKEN}'}, token: .t, into: body.a.token}}\n";
    assert_eq!(say_job(&format!("{post}{into}")), "");
}

#[test]
fn a_login_sends_one_kind_of_body() {
    insta::assert_snapshot!(
        [login("form: {password: '${TOKEN}'}, body: {}"), login("success: .ok"), login("form: [a, b]")].join("\n"),
        @"
    error: a login has a `form` or a `body`, not both
     --> p.yaml:6:11
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, body: {}}}
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: remove one of them
    error: the login sends no credentials
     --> p.yaml:6:11
      |
    6 |     auth: {login: {post: /in, success: .ok}}
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: add `basic:`, `form:` or `body:` with the user and the password
    error: the `form` of a login must be a map of names and values
     --> p.yaml:6:11
      |
    6 |     auth: {login: {post: /in, form: [a, b]}}
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: use `body:` for other JSON
    "
    );
}

#[test]
fn a_login_sees_no_window_and_no_row() {
    insta::assert_snapshot!(
        login("form: {a: '{{ window.from }}', b: '{{ cursor }}', c: '{{ site.id }}', d: '${TOKEN}{{ now }}', e: '{{ now | tme }}'}"),
        @"
    error: there is no template variable `window` in a login
     --> p.yaml:6:45
      |
    6 |     auth: {login: {post: /in, form: {a: '{{ window.from }}', b: '{{ cursor }}', c: '{{ site.id }}', d: '${TOKEN}{{ now }}', e: '{{ no...
      |                                             ^^^^^^^^^^^
      |
      = help: a login is sent for no page, no window and no row: its templates see `now` only

    error: there is no template variable `cursor` in a login
     --> p.yaml:6:69
      |
    6 |     auth: {login: {post: /in, form: {a: '{{ window.from }}', b: '{{ cursor }}', c: '{{ site.id }}', d: '${TOKEN}{{ now }}', e: '{{ no...
      |                                                                     ^^^^^^
      |
      = help: a login is sent for no page, no window and no row: its templates see `now` only

    error: there is no template variable `site` in a login
     --> p.yaml:6:88
      |
    6 |     auth: {login: {post: /in, form: {a: '{{ window.from }}', b: '{{ cursor }}', c: '{{ site.id }}', d: '${TOKEN}{{ now }}', e: '{{ no...
      |                                                                                        ^^^^^^^
      |
      = help: a login is sent for no page, no window and no row: its templates see `now` only

    error: a text of a login can't hold both `${...}` and a template
     --> p.yaml:6:104
      |
    6 |     auth: {login: {post: /in, form: {a: '{{ window.from }}', b: '{{ cursor }}', c: '{{ site.id }}', d: '${TOKEN}{{ now }}', e: '{{ no...
      |                                                                                                        ^^^^^^^^^^^^^^^^^^^
      |
      = help: write them into two values, or leave one of them out

    error: there is no filter `tme` for templates
     --> p.yaml:6:138
      |
    6 | ... }}', c: '{{ site.id }}', d: '${TOKEN}{{ now }}', e: '{{ now | tme }}'}}}
      |                                                                   ^^^
      |
      = help: did you mean `time`?
    "
    );
    insta::assert_snapshot!(say_job("    auth: {login: {post: 'in?x={{ row.id }}', form: {a: b}}}\n"), @"
    error: the login's path must begin with `/`
     --> p.yaml:6:26
      |
    6 |     auth: {login: {post: 'in?x={{ row.id }}', form: {a: b}}}
      |                          ^^^^^^^^^^^^^^^^^^^
      |
      = help: it is appended to `base_url`

    error: there is no template variable `row` in a login
     --> p.yaml:6:35
      |
    6 |     auth: {login: {post: 'in?x={{ row.id }}', form: {a: b}}}
      |                                   ^^^^^^
      |
      = help: a login is sent for no page, no window and no row: its templates see `now` only
    ");
}

#[test]
fn a_secret_of_a_login_is_a_text_from_outside() {
    insta::assert_snapshot!(
        login("body: {password: 123456, nested: [{token: hunter2}], pin: ${TOKEN}, api_key: true}"),
        @"
    error: `password` of a login must be a text
     --> p.yaml:6:48
      |
    6 |     auth: {login: {post: /in, body: {password: *******************************************************************
      |                                                ^^^^^^
      |
      = help: write '${NAME}' or '${file:path}' in quotes: without them, digits would be sent as a number

    error: a secret can't be written in the file
     --> p.yaml:6:73
      |
    6 |     auth: {login: {post: /in, body: {password: *******************************************************************
      |                                                                         ^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it

    error: inside brackets, a text with no quotes ends at a `{`
     --> p.yaml:6:89
      |
    6 |     auth: {login: {post: /in, body: {password: *******************************************************************
      |                                                                                         ^^^^^^^^
      |
      = help: put it in single quotes: `'${TOKEN}'`

    error: `api_key` of a login must be a text
     --> p.yaml:6:108
      |
    6 |     auth: {login: {post: /in, body: {password: *******************************************************************
      |                                                                                                            ^^^^
      |
      = help: write '${NAME}' or '${file:path}' in quotes: without them, digits would be sent as a number
    "
    );
}

#[test]
fn a_token_and_its_place_belong_together() {
    let form = "form: {password: '${TOKEN}'}";
    insta::assert_snapshot!(
        [
            login(&format!("{form}, token: .t")),
            login(&format!("{form}, into: headers.x")),
            login(&format!("{form}, token: '.t[', into: headers.x")),
            login(&format!("{form}, token: $t, into: headr.x")),
            login(&format!("{form}, token: .t, into: path")),
            login(&format!("{form}, token: .t, into: query.a.b")),
            login(&format!("{form}, token: .t, into: 'headers[\"a b\"]'")),
            login(&format!("{form}, token: .t, into: form.token")),
            login(&format!("{form}, token: .t, into: body.token")),
        ]
        .join("\n"),
        @r#"
    error: the login's `token` goes nowhere
     --> p.yaml:6:68
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: .t}}
      |                                                                    ^^
      |
      = help: add `into:`, such as `into: headers.authorization`
    error: there is no `token` to write there
     --> p.yaml:6:67
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, into: headers.x}}
      |                                                                   ^^^^^^^^^
      |
      = help: add `token:`, jq for the token in the answer, or remove `into`: cookies need no place
    error: jq: expected closing bracket, found the end of the program
     --> p.yaml:6:72
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: '.t[', into: headers.x}}
      |                                                                        ^
    error: jq: there is no variable `$t`: there are `$status`, `$headers`
     --> p.yaml:6:68
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: $t, into: headr.x}}
      |                                                                    ^^

    error: this isn't a place in the request: a place begins with one of path, query, headers, body, form, not 'headr'
     --> p.yaml:6:78
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: $t, into: headr.x}}
      |                                                                              ^^^^^
      |
      = help: did you mean `headers`?
    error: a token can't be written to `path`
     --> p.yaml:6:78
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: .t, into: path}}
      |                                                                              ^^^^
      |
      = help: name a header, a parameter or a field: `headers.authorization`, `query.token`
    error: a token can't be written to `query.a.b`
     --> p.yaml:6:78
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: .t, into: query.a.b}}
      |                                                                              ^^^^^^^^^
      |
      = help: name a header, a parameter or a field: `headers.authorization`, `query.token`
    error: `headers["a b"]` can't be the name of a header
     --> p.yaml:6:78
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: .t, into: 'headers["a b"]'}}
      |                                                                              ^^^^^^^^^^^^^^^^
      |
      = help: use letters, digits and `-`, such as `headers.x-token`
    error: the request of the job `a` has no `form`, so the token can't go there
     --> p.yaml:6:78
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: .t, into: form.token}}
      |                                                                              ^^^^^^^^^^
      |
      = help: name a header, such as `headers.authorization`, or give the job its own `auth`
    error: the request of the job `a` has no `body`, so the token can't go there
     --> p.yaml:6:78
      |
    6 |     auth: {login: {post: /in, form: {password: '${TOKEN}'}, token: .t, into: body.token}}
      |                                                                              ^^^^^^^^^^
      |
      = help: name a header, such as `headers.authorization`, or give the job its own `auth`
    "#
    );
    let scalar = "    post: /rows\n    body: {a: text}\n    auth: {login: {post: /in, body: {p: '${TOKEN}'}, token: .t, into: body.a.token}}\n";
    insta::assert_snapshot!(say_job(scalar), @r#"
    error: the place 'body.a.token' needs an object at 'body["a"]', but the request has a text there
     --> p.yaml:8:71
      |
    8 |     auth: {login: {post: /in, body: {p: '${TOKEN}'}, token: .t, into: body.a.token}}
      |                                                                       ^^^^^^^^^^^^
      |
      = help: change the place, or what the request has there
    "#);
}

#[test]
fn what_two_jobs_share_is_said_of_the_job_that_does_not_fit() {
    insta::assert_snapshot!(say(r"version: 1
name: x
source:
  base_url: 'http://h'
  auth: {login: {post: /in, form: {password: '${TOKEN}', at: '{{ nw }}'}, token: .t, into: form.token}}
jobs:
  fits: {post: /x, form: {a: b}, paginate: none, records: '.[]'}
  lacks: {get: /x, paginate: none, records: '.[]'}
  other: {get: /x, paginate: none, records: '.[]', auth: {bearer: '${TOKEN}'}}
"), @"
    error: there is no template variable `nw` in a login
     --> p.yaml:5:66
      |
    5 |   auth: {login: {post: /in, form: {password: '${TOKEN}', at: '{{ nw }}'}, token: .t, into: form.token}}
      |                                                                  ^^
      |
      = help: a login is sent for no page, no window and no row: its templates see `now` only

    error: the request of the job `lacks` has no `form`, so the token can't go there
     --> p.yaml:5:92
      |
    5 |   auth: {login: {post: /in, form: {password: '${TOKEN}', at: '{{ nw }}'}, token: .t, into: form.token}}
      |                                                                                            ^^^^^^^^^^
      |
      = help: name a header, such as `headers.authorization`, or give the job its own `auth`
    ");
}

fn oauth2(url: &str) -> String {
    say_job(&format!(
        "    auth: {{oauth2: {{token_url: '{url}', client_id: c, client_secret: '${{TOKEN}}', scope: a b, client_auth: body, refresh_token: '${{TOKEN}}'}}}}\n"
    ))
}

#[test]
fn a_token_url_is_safe() {
    for url in
        ["https://idp/t", "https://idp/t?tenant=x", "http://127.0.0.1:9/t", "http://[::1]/t", "http://localhost/t"]
    {
        assert_eq!(oauth2(url), "", "{url}");
    }
    let refused = [
        "http://idp/t",
        "/t",
        "ftp://idp/t",
        "https://u:p@idp/t",
        "https://idp/t#x",
        "https://{{ now }}/t",
        "https://",
    ];
    insta::assert_snapshot!(refused.map(oauth2).join("\n"), @"
    error: `token_url` must be https, or the client's secret travels in clear
     --> p.yaml:6:32
      |
    6 |     auth: {oauth2: {token_url: 'http://idp/t', client_id: c, client_secret: '${TOKEN}', scope: a b, client_auth: body, refresh_token:...
      |                                ^^^^^^^^^^^^^^
      |
      = help: use `https://`; `http://` is for a server on this machine
    error: `token_url` must begin with `https://`
     --> p.yaml:6:32
      |
    6 |     auth: {oauth2: {token_url: '/t', client_id: c, client_secret: '${TOKEN}', scope: a b, client_auth: body, refresh_token: '${TOKEN}'}}
      |                                ^^^^
      |
      = help: write the whole URL, such as `https://login.example.com/oauth2/token`
    error: `token_url` must begin with `https://`
     --> p.yaml:6:32
      |
    6 |     auth: {oauth2: {token_url: 'ftp://idp/t', client_id: c, client_secret: '${TOKEN}', scope: a b, client_auth: body, refresh_token: ...
      |                                ^^^^^^^^^^^^^
      |
      = help: write the whole URL, such as `https://login.example.com/oauth2/token`
    error: `token_url` can't hold a user or a password
     --> p.yaml:6:32
      |
    6 |     auth: {oauth2: {token_url: 'https://***@idp/t', client_id: c, client_secret: '${TOKEN}', scope: a b, client_auth: body, refresh_t...
      |                                ^^^^^^^^^^^^^^^^^^^
      |
      = help: remove them, and use `client_id` and `client_secret`
    error: `token_url` can't hold a fragment
     --> p.yaml:6:32
      |
    6 |     auth: {oauth2: {token_url: 'https://idp/t#x', client_id: c, client_secret: '${TOKEN}', scope: a b, client_auth: body, refresh_tok...
      |                                ^^^^^^^^^^^^^^^^^
      |
      = help: remove `#` and what follows it
    error: `token_url` can't hold a template
     --> p.yaml:6:32
      |
    6 |     auth: {oauth2: {token_url: 'https://{{ now }}/t', client_id: c, client_secret: '${TOKEN}', scope: a b, client_auth: body, refresh...
      |                                ^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write it out, or use ${NAME}
    error: `token_url` is not a URL: empty host
     --> p.yaml:6:32
      |
    6 |     auth: {oauth2: {token_url: 'https://', client_id: c, client_secret: '${TOKEN}', scope: a b, client_auth: body, refresh_token: '${...
      |                                ^^^^^^^^^^
      |
      = help: write the whole URL, such as `https://login.example.com/oauth2/token`
    ");
}

#[test]
fn a_client_has_an_id() {
    insta::assert_snapshot!(say_job(
        "    auth: {oauth2: {token_url: 'https://idp/t', client_id: '', client_secret: hunter2, client_auth: basic}}\n"
    ), @"
    error: `client_id` is empty
     --> p.yaml:6:60
      |
    6 |     auth: {oauth2: {token_url: 'https://idp/t', client_id: '', client_secret: *******, client_auth: basic}}
      |                                                            ^^
      |
      = help: write the id that the client is registered under

    error: a secret can't be written in the file
     --> p.yaml:6:79
      |
    6 |     auth: {oauth2: {token_url: 'https://idp/t', client_id: '', client_secret: *******, client_auth: basic}}
      |                                                                               ^^^^^^^
      |
      = note: expected `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it

    error: unknown name `basic`
     --> p.yaml:6:101
      |
    6 |     auth: {oauth2: {token_url: 'https://idp/t', client_id: '', client_secret: *******, client_auth: basic}}
      |                                                                                                     ^^^^^
      |
      = note: expected `header` or `body`
    ");
}

#[test]
fn several_headers_hold_a_secret_each() {
    let auth = |headers: &str| say_job(&format!("    get: /rows\n    auth: {{headers: {headers}}}\n"));
    assert_eq!(auth("{DD-API-KEY: '${TOKEN}', X-App: 'App ${TOKEN}'}"), "");
    insta::assert_snapshot!([auth("{}"), auth("{a b: '${TOKEN}'}"), auth("{X-Key: abcdef}")].join("\n"), @"
    error: `headers` names none
     --> p.yaml:7:11
      |
    7 |     auth: {headers: {}}
      |           ^^^^^^^^^^^^^
      |
      = help: add one, such as `X-Api-Key: '${KEY}'`
    error: `a b` can't be the name of a header
     --> p.yaml:7:22
      |
    7 |     auth: {headers: {a b: '${TOKEN}'}}
      |                      ^^^
      |
      = help: use letters, digits and `-`, such as `x-request-id`
    error: a secret can't be written in the file
     --> p.yaml:7:29
      |
    7 |     auth: {headers: {X-Key: ******}}
      |                             ^^^^^^
      |
      = note: expected a text that ends with `${NAME}` or `${file:path}`
      = help: use ${NAME} or ${file:path}; if it was ever committed or shared, change it
    ");
}
