//! Spread: a median with the range around it.

/// A median and the range around it.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The value in the middle.
    pub median: f64,
    least: f64,
    most: f64,
    digits: usize,
}

impl Spread {
    /// Returns the spread of these values, to be shown with so many digits behind the point.
    ///
    /// # Panics
    /// When there are no values.
    #[must_use]
    pub fn of(mut values: Vec<f64>, digits: usize) -> Self {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        Self { median: values[values.len() / 2], least, most, digits }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, least, most, digits } = self;
        write!(f, "{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}
