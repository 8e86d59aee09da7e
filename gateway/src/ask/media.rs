//! Media: on which origins the pictures lie that pages may show.

use super::origin::Origin;
use crate::answer::problem::FieldError;

/// The origins that `--media-origins` names.
#[derive(Debug, Clone, Default)]
pub(crate) struct MediaOrigins(pub(crate) Vec<Origin>);

impl MediaOrigins {
    /// Checks that a picture lies on one of them: a browser would not show it otherwise.
    pub(crate) fn check(&self, image_url: Option<&str>) -> Result<(), Vec<FieldError>> {
        let Some(url) = image_url else { return Ok(()) };
        let lies_on = |origin: &Origin| {
            let behind = url.strip_prefix(origin.to_string().as_str());
            behind.is_some_and(|path| path.is_empty() || path.starts_with('/'))
        };
        if self.0.iter().any(lies_on) {
            return Ok(());
        }
        let reason = "no origin that --media-origins names; a browser would not show it".into();
        Err(vec![FieldError { field: "image_url".into(), reason }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_lies_on_a_named_origin_and_not_on_one_that_begins_like_it() {
        let media = MediaOrigins(vec!["https://cdn.example".parse().unwrap()]);
        let is_good = |url: &str| media.check(Some(url)).is_ok();
        assert!(media.check(None).is_ok());
        assert!(is_good("https://cdn.example/lamp.jpg") && is_good("https://cdn.example"));
        for url in [
            "https://cdn.example.evil/lamp.jpg",
            "https://cdn.example:8443/lamp.jpg",
            "http://cdn.example/lamp.jpg",
            "https://cdn.example@evil/lamp.jpg",
            "lamp.jpg",
        ] {
            assert!(!is_good(url), "{url}");
        }
        assert!(MediaOrigins::default().check(Some("https://cdn.example/lamp.jpg")).is_err());
    }
}
