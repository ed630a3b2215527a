//! The templates, the style sheet and the script. All that goes into a template is escaped: their names end with `.html`.

use minijinja::{Environment, Error, UndefinedBehavior};

use super::text;

pub(super) const STYLE: &str = include_str!("pages/style.css");
pub(super) const SCRIPT: &str = include_str!("pages/live.js");
pub(super) const ICON: &str = include_str!("pages/icon.svg");

const TEMPLATES: [(&str, &str); 6] = [
    ("base.html", include_str!("pages/base.html")),
    ("parts.html", include_str!("pages/parts.html")),
    ("home.html", include_str!("pages/home.html")),
    ("pipeline.html", include_str!("pages/pipeline.html")),
    ("run.html", include_str!("pages/run.html")),
    ("message.html", include_str!("pages/message.html")),
];

/// Compiles the templates. A name that isn't there is an error, not an empty place.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("count", text::count);
    environment.add_filter("plural", |number: u64, what: &str| text::plural(number, what));
    environment.add_filter("retries", text::retries);
    environment.add_filter("size", text::size);
    environment.add_filter("when", text::when);
    environment.add_filter("instant", text::instant);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_compile_and_nothing_is_inline() {
        environment().unwrap();
        for (name, text) in TEMPLATES {
            let lower = text.to_lowercase();
            for inline in ["<style", " style=", "<script>", "onclick", "onload", "javascript:", "|safe", "| safe"] {
                assert!(!lower.contains(inline), "{name} has {inline}");
            }
            assert!(!lower.contains("http://") && !lower.contains("https://"), "{name} names another site");
        }
    }
}
