//! Addresses, names and the texts that attackers choose (vendors.md A10 "Names"): a function of the seed and the address, so that the
//! host table, the flow table and the alerts agree on them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::appliance::dice::{mix, pick};

/// Texts that an attacker would pick to break a reader: valid UTF-8, as ntopng guarantees, and nothing else.
pub(super) const HOSTILE: [&str; 22] = [
    "say \"hi\"",
    "back\\slash\\",
    "line\nbreak",
    "<b>bold</b>",
    "{}",
    "{{ record.ip }}",
    "a,b;c=d",
    "del\u{7f}ete",
    "über-straße",
    "🦀 crab",
    "日本語.example",
    "' OR 1=1 --",
    "tab\tand\rreturn",
    "${HOME}",
    "%00%0a%25",
    "=cmd|'/C calc'!A0",
    "null",
    "\u{202e}gpj.exe",
    "pipe|quote\"pipe|",
    "<script>alert(1)</script>",
    "zero\u{200b}width",
    "]}],\"rc\":-1",
];

/// The address of the `index`-th client: IPv6 for one in seven, private IPv4 else.
pub(super) fn client(index: u32) -> IpAddr {
    if index % 7 == 6 {
        let low = u16::try_from(index & 0xffff).unwrap_or(0);
        let high = u16::try_from(index >> 16).unwrap_or(0);
        return Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, high, low).into();
    }
    Ipv4Addr::from(0x0A00_0003_u32.wrapping_add(index & 0x00ff_ffff)).into()
}

/// The address of the `index`-th server: documentation IPv6 for one in six, the benchmark IPv4 networks else.
pub(super) fn server(index: u32) -> IpAddr {
    if index % 6 == 5 {
        let low = u16::try_from(index & 0xffff).unwrap_or(0);
        return Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, u16::try_from(index >> 16).unwrap_or(0), low).into();
    }
    Ipv4Addr::from(0xC612_0001_u32.wrapping_add(index & 0x0001_ffff)).into()
}

/// The resolver of the local network.
pub(super) const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// Tells whether the address belongs to the local network.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 10,
        IpAddr::V6(ip) => ip.segments()[0] == 0xfd00,
    }
}

/// The address as one word.
pub(super) fn word(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => {
            let segments = ip.segments();
            (u64::from(segments[0]) << 32) | (u64::from(segments[6]) << 16) | u64::from(segments[7])
        }
    }
}

/// The name that ntopng knows for the address, if it knows one; one in twenty was chosen by an attacker.
pub(super) fn host_name(seed: u64, ip: IpAddr) -> Option<String> {
    let hash = mix(seed, word(ip));
    let number = hash >> 40 & 0xfff;
    match hash % 20 {
        0 => Some((*pick(&HOSTILE, hash >> 8)).to_owned()),
        1..=4 if is_local(ip) => Some(format!("box{number}")),
        5..=8 if is_local(ip) => Some(format!("host-{number}")),
        1..=12 if !is_local(ip) => Some(format!("srv{number:03}.example.{}", pick(&["com", "net", "org"], hash >> 16))),
        _ => None,
    }
}

/// The hardware address that the flow table gives for a local client without a name.
pub(super) fn hardware_address(ip: IpAddr) -> String {
    let [_, _, _, _, _, a, b, c] = word(ip).to_be_bytes();
    format!("B8:27:EB:{a:02X}:{b:02X}:{c:02X}")
}

#[cfg(test)]
mod tests {
    use super::{client, host_name, is_local, server};

    #[test]
    fn addresses_are_distinct() {
        let all: std::collections::HashSet<_> = (0..90_000).flat_map(|index| [client(index), server(index)]).collect();
        assert_eq!(all.len(), 180_000);
        assert!((0..1000).all(|index| is_local(client(index)) && !is_local(server(index))));
    }

    #[test]
    fn names_depend_on_seed_and_address() {
        assert_eq!(host_name(1, client(1)), host_name(1, client(1)));
        let names = |seed| (0..100).map(|index| host_name(seed, client(index))).collect::<Vec<_>>();
        assert_ne!(names(1), names(2));
        assert!(names(1).iter().any(Option::is_none));
    }
}
