//! Proxies, certificates, and what is said of tries.

use super::{say, say_job};

fn source(keys: &str) -> String {
    say(&format!(
        "version: 1\nname: x\nsource:\n  base_url: https://h\n  {keys}\njobs:\n  a: {{get: /x, paginate: none, records: '.[]'}}\n  b: {{get: \
         /y, paginate: none, records: '.[]'}}\n"
    ))
}

#[test]
fn what_is_right_is_taken() {
    for keys in [
        "proxy: http://proxy:3128",
        "proxy: 'https://robot:${TOKEN}@proxy'",
        "proxy: 'http://${TOKEN}:${TOKEN}@[::1]:3128/'",
        "proxy: 'http://${PROXY:-localhost}:3128'",
        "tls: {client_cert: a.pem}",
        "tls: {client_cert: a.pem, client_key: b.pem, ca_file: c.pem}",
        "retry: {when: '.busy and $status == 200', after: '$headers[\"x-reset\"] // .wait'}",
        "retry: {after: '.reset - $now'}",
        "timeout: {connect: 1s, request: 5m, read: 30s}",
    ] {
        assert_eq!(source(keys), "", "{keys}");
    }
}

#[test]
fn proxies() {
    insta::assert_snapshot!(source("proxy: proxy:3128"), @"
    error: `proxy` must begin with `http://` or `https://`
     --> p.yaml:5:10
      |
    5 |   proxy: proxy:3128
      |          ^^^^^^^^^^
      |
      = help: write the scheme, the host and the port, such as `http://proxy:3128`
    ");
    insta::assert_snapshot!(source("proxy: socks5://proxy"), @"
    error: `proxy` must begin with `http://` or `https://`
     --> p.yaml:5:10
      |
    5 |   proxy: socks5://proxy
      |          ^^^^^^^^^^^^^^
      |
      = help: write the scheme, the host and the port, such as `http://proxy:3128`
    ");
    insta::assert_snapshot!(source("proxy: 'http://robot:${TOKEN}x@proxy'"), @"
    error: `proxy` holds a password, which can't be written in the file
     --> p.yaml:5:10
      |
    5 |   proxy: ******************************
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: use ${NAME} or ${file:path} for it; if it was ever committed or shared, change it
    ");
    insta::assert_snapshot!(source("proxy: http://robot:hunter2@proxy"), @"
    error: `proxy` holds a password, which can't be written in the file
     --> p.yaml:5:10
      |
    5 |   proxy: **************************
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: use ${NAME} or ${file:path} for it; if it was ever committed or shared, change it
    ");
    insta::assert_snapshot!(source("proxy: 'http://${TOKEN}:x y/@proxy/path'"), @"
    error: `proxy` holds a password, which can't be written in the file
     --> p.yaml:5:10
      |
    5 |   proxy: *********************************
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: use ${NAME} or ${file:path} for it; if it was ever committed or shared, change it
    ");
    insta::assert_snapshot!(source("proxy: http://proxy/path"), @"
    error: `proxy` can't hold a path or a query
     --> p.yaml:5:10
      |
    5 |   proxy: http://proxy/path
      |          ^^^^^^^^^^^^^^^^^
      |
      = help: write the scheme, the host and the port, such as `http://proxy:3128`
    ");
}

#[test]
fn certificates() {
    insta::assert_snapshot!(source("tls: {client_key: b.pem, ca_file: ''}"), @"
    error: a client's key proves nothing without its certificate
     --> p.yaml:5:21
      |
    5 |   tls: {client_key: b.pem, ca_file: ''}
      |                     ^^^^^
      |
      = help: add `client_cert:`, the file of the certificate that the key belongs to

    error: `ca_file` is empty
     --> p.yaml:5:37
      |
    5 |   tls: {client_key: b.pem, ca_file: ''}
      |                                     ^^
      |
      = help: name a PEM file, or remove it
    ");
    insta::assert_snapshot!(say_job("    tls: {ca_file: a.pem, client_cert: b.pem}\n"), @"
    warning: `client_cert` has no use: `base_url` begins with `http://`
     --> p.yaml:6:40
      |
    6 |     tls: {ca_file: a.pem, client_cert: b.pem}
      |                                        ^^^^^
      |
      = help: begin it with `https://` if the server speaks TLS
    ");
}

#[test]
fn rules_about_tries() {
    insta::assert_snapshot!(source("retry: {when: '$now > 3', after: '.wait | secnds'}"), @"
    error: jq: there is no variable `$now`: there are `$status`, `$headers`
     --> p.yaml:5:18
      |
    5 |   retry: {when: '$now > 3', after: '.wait | secnds'}
      |                  ^^^^

    error: jq: there is no filter `secnds`; a field is written with a dot: `.secnds`
     --> p.yaml:5:45
      |
    5 |   retry: {when: '$now > 3', after: '.wait | secnds'}
      |                                             ^^^^^^
    ");
    insta::assert_snapshot!(say_job("    retry: {when: '.rows | length == 0'}\n"), @"
    error: this expression reaches into the records (`.rows`), which it doesn't see
     --> p.yaml:6:20
      |
    6 |     retry: {when: '.rows | length == 0'}
      |                    ^^^^^
      |
      = help: leave them out, or make `records` a jq program: then it sees the whole body
    ");
}
