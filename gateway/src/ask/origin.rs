//! Origin: whose pages a browser lets call this server, or frame its pages.

use axum::http::HeaderValue;
use std::fmt;
use std::str::FromStr;

/// A page's origin as browsers write it: `https://shop.example` or `http://localhost:3000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

/// Why a text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an origin as https://shop.example or http://localhost:3000: no path, no `*`, small letters, no port 443 or 80"
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
        // Browsers leave the scheme's own port out, so an origin with it would never match.
        let own = if text.starts_with("https:") { "443" } else { "80" };
        if is_plain && is_port && port != Some(own) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadOrigin)
        }
    }
}

impl Origin {
    /// The origin as it stands in headers.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(&self.0).expect("an origin is plain ASCII")
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
            ["https://shop.example", "http://localhost:3000", "http://[::1]:8080", "http://[::1]"]
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
            "https://shop.example:443",
            "http://[::1]:80",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(BadOrigin), "{bad}");
        }
    }
}
