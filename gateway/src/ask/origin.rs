//! Origin: whose pages a browser lets call this server, or frame its pages.

use std::fmt;
use std::str::FromStr;

/// A page's origin as browsers write it: `https://shop.example` or `http://localhost:3000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

/// Why a text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an origin as https://shop.example or http://localhost:3000: no path, no `*`, in small letters"
)]
pub(crate) struct BadOrigin;

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = host.ok_or(BadOrigin)?;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b);
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(BadOrigin);
        }
        // The rest of what may be wrong, such as a port that is none.
        let uri: hyper::Uri = text.parse().map_err(|_| BadOrigin)?;
        let is_plain = uri.authority().is_some_and(|authority| authority.as_str() == host);
        let port = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map(|(_, port)| port);
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        if is_plain && is_port { Ok(Self(text.to_owned())) } else { Err(BadOrigin) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for good in
            ["https://shop.example", "http://localhost:3000", "http://[::1]:80", "http://[::1]"]
        {
            assert_eq!(good.parse::<Origin>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "*",
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://Shop.example",
            "ftp://shop.example",
            "https://a:b",
            "https://a:99999",
            "https://*.example",
            "https://shop.example;script-src",
            "https://u@shop.example",
            "null",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(BadOrigin), "{bad}");
        }
    }
}
