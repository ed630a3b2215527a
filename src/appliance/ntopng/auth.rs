//! Who may come in (vendors.md A1 and A10 "Transport / auth"): Basic with a lock-out, and tokens without one.

use std::collections::HashMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::config::User;

/// So many wrong passwords in a row lock an address out.
const MAX_FAILURES: u32 = 5;
/// How long, in seconds.
const LOCKED_FOR: i64 = 300;

/// What an address did lately.
#[derive(Debug, Default, Clone, Copy)]
struct Record {
    failures: u32,
    locked_until: i64,
}

/// Checks credentials and remembers failures by address.
#[derive(Debug, Default)]
pub(super) struct Gate {
    records: HashMap<IpAddr, Record>,
}

impl Gate {
    /// Returns the user of the `Authorization` header `given`, if it is right and `peer` isn't locked out at `now` (epoch seconds).
    pub(super) fn admit<'a>(
        &mut self,
        users: &'a [User],
        given: Option<&str>,
        peer: IpAddr,
        now: i64,
    ) -> Option<&'a User> {
        let given = given?;
        if let Some(token) = given.strip_prefix("Token ") {
            return users.iter().find(|user| user.token.as_deref() == Some(token));
        }
        // The real one compares the scheme by case.
        let (name, password) = decode(given.strip_prefix("Basic ")?)?;
        let record = self.records.entry(peer).or_default();
        if now < record.locked_until {
            return None;
        }
        let user = users.iter().find(|user| user.name == name && user.password == password);
        *record = match user {
            Some(_) => Record::default(),
            None if record.failures + 1 >= MAX_FAILURES => Record { failures: 0, locked_until: now + LOCKED_FOR },
            None => Record { failures: record.failures + 1, locked_until: 0 },
        };
        user
    }
}

/// Decodes name and password; the password ends at its first colon, so that one with a colon never fits.
fn decode(credentials: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let mut parts = text.split(':');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use base64::Engine as _;

    use super::{Gate, STANDARD, User};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    fn users() -> Vec<User> {
        let user = |password: &str| User {
            name: "admin".to_owned(),
            password: password.to_owned(),
            token: Some("t0".to_owned()),
            alerts: true,
        };
        vec![user("right"), user("with:colon")]
    }

    fn basic(password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("admin:{password}")))
    }

    #[test]
    fn schemes_and_passwords() {
        let users = users();
        let mut gate = Gate::default();
        let mut admits = |header: Option<&str>| gate.admit(&users, header, HERE, 0).is_some();
        assert!(admits(Some(&basic("right"))));
        assert!(!admits(Some(&basic("right").replace("Basic", "basic"))));
        assert!(!admits(Some(&basic("with:colon"))));
        assert!(admits(Some("Token t0")));
        assert!(!admits(Some("Token ")));
        assert!(!admits(None));
    }

    #[test]
    fn five_failures_lock_an_address_for_five_minutes() {
        let users = users();
        let mut gate = Gate::default();
        let mut admits = |header: &str, peer, now| gate.admit(&users, Some(header), peer, now).is_some();
        (0..4).for_each(|_| assert!(!admits(&basic("wrong"), HERE, 0)));
        assert!(admits(&basic("right"), HERE, 0), "a success resets the count");
        (0..5).for_each(|_| assert!(!admits(&basic("wrong"), HERE, 0)));
        assert!(!admits(&basic("right"), HERE, 299), "the right password doesn't help");
        assert!(admits(&basic("right"), THERE, 299), "another address isn't locked out");
        assert!(admits("Token t0", HERE, 299), "tokens aren't affected");
        assert!(admits(&basic("right"), HERE, 300));
    }
}
