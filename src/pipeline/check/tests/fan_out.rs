//! What a job is repeated for.

use super::*;

#[test]
fn listed_maps_have_a_key() {
    let job = |for_each: &str, get: &str| say_job(&format!("    get: {get}\n    for_each: {for_each}\n"));
    let maps = "values: [{owner: a, name: b}, {owner: a, name: c, query: [1]}]";
    assert_eq!(job(&format!("{{as: repo, key: [owner, name], {maps}}}"), "'/{{ repo.owner }}/{{ repo.name }}'"), "");
    insta::assert_snapshot!(job(&format!("{{as: repo, {maps}}}"), "/x"), @"
    error: `for_each` has no `key`
     --> p.yaml:7:15
      |
    7 |     for_each: {as: repo, values: [{owner: a, name: b}, {owner: a, name: c, query: [1]}]}
      |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name the fields that tell the listed maps apart, such as `key: name`
    ");
    insta::assert_snapshot!(job("{as: repo, key: [owner, name], values: [{owner: a, name: null}, {owner: a}, plain]}", "/x"), @"
    error: this value has no `name`, which `key` names
     --> p.yaml:7:55
      |
    7 |     for_each: {as: repo, key: [owner, name], values: [{owner: a, name: null}, {owner: a}, plain]}
      |                                                       ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: give it one, a text, a number or a boolean

    error: this value has no `name`, which `key` names
     --> p.yaml:7:79
      |
    7 |     for_each: {as: repo, key: [owner, name], values: [{owner: a, name: null}, {owner: a}, plain]}
      |                                                                               ^^^^^^^^^^
      |
      = help: give it one, a text, a number or a boolean

    error: some of the listed values are maps, and this one isn't
     --> p.yaml:7:91
      |
    7 |     for_each: {as: repo, key: [owner, name], values: [{owner: a, name: null}, {owner: a}, plain]}
      |                                                                                           ^^^^^
      |
      = help: write maps of the same fields, or plain values
    ");
}
