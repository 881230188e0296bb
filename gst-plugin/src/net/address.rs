//! Where workers are, and where they are met, as people write it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// The port of whoever says no other.
const PORT: u16 = 7171;

/// Every address of this machine, on the port of whoever says no other.
pub const EVERYWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), PORT);

/// What [`local`] takes, in words.
pub const LOCAL: &str = "an address of this machine is wanted: HOST:PORT, [::]:7171, :7171 or 7171";
/// What [`peer`] takes, in words.
pub const PEER: &str = "HOST:PORT is wanted, an IPv6 address in brackets: node1:7171, 10.0.0.5:7171, [fd00::5]:7171";

/// An address to listen on: `HOST:PORT`, `:PORT` and `PORT` for every address, or `HOST`.
pub fn local(text: &str) -> Option<SocketAddr> {
    let everywhere = |port: u16| SocketAddr::new(EVERYWHERE.ip(), port);
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
        return Some(everywhere(port));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT));
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    peer(text)?.to_socket_addrs().ok()?.next()
}

/// Another machine's `host:port`; the port may be left out. No name is looked up.
pub fn peer(text: &str) -> Option<String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            ip.parse::<Ipv6Addr>().ok()?;
            (format!("[{ip}]"), port.strip_prefix(':').or(port.is_empty().then_some(""))?)
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            // A number alone is a port that was put there, or one out of range.
            let is_host = host.chars().all(is_name) && host.contains(|c: char| !c.is_ascii_digit());
            (is_host && !host.starts_with('-')).then(|| (host.to_owned(), port))?
        }
    };
    let port = match port {
        "" if text.ends_with(':') => return None,
        "" => PORT,
        port => port.parse().ok().filter(|port| *port > 0)?,
    };
    Some(format!("{host}:{port}"))
}

/// Several of them with commas between, none of them twice.
///
/// # Errors
/// What is wrong with the text.
pub fn peers(text: &str) -> Result<Vec<String>, String> {
    let named: Option<Vec<String>> = text.split(',').map(|one| peer(one.trim())).collect();
    let named = named.ok_or_else(|| format!("{PEER}, commas between several"))?;
    let mut seen = BTreeSet::new();
    match named.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(format!("{twice} is named twice")),
        None => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_may_leave_out_the_host_or_the_port() {
        for (text, address) in [
            ("[::]:7171", "[::]:7171"),
            (":7171", "[::]:7171"),
            ("80", "[::]:80"),
            (":0", "[::]:0"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("10.0.0.1", "10.0.0.1:7171"),
            ("::1", "[::1]:7171"),
            ("[::1]:5", "[::1]:5"),
        ] {
            assert_eq!(local(text), address.parse().ok(), "{text}");
        }
        for text in ["", ":", "70000", ":70000", "1.2.3.4:70000", "a b:1", "-1", "[::1", "host:"] {
            assert_eq!(local(text), None, "{text}");
        }
    }

    #[test]
    fn a_worker_is_a_name_or_an_address_and_a_port() {
        for (text, wanted) in [
            ("node1:7171", "node1:7171"),
            ("node1", "node1:7171"),
            ("10.0.0.5:80", "10.0.0.5:80"),
            ("[fd00::5]:80", "[fd00::5]:80"),
            ("[fd00::5]", "[fd00::5]:7171"),
            ("a-b.c_d.example:1", "a-b.c_d.example:1"),
        ] {
            assert_eq!(peer(text).as_deref(), Some(wanted), "{text}");
        }
        for text in
            ["", ":7171", "a:", "a:0", "a:b", "a:70000", "fd00::5", "[fd00::5]80", "[a]:1", "[]:1", "a b:1", "80", "-a"]
        {
            assert_eq!(peer(text), None, "{text}");
        }
    }
}
