//! The terms of an open sale as they are now, and what an operator did with it.

use super::OpenSale;
use crate::open::live_terms::LiveTerms;
use crate::open::marks::{Mark, Marks};
use crate::rules::terms::Terms;
use crate::rules::time::Millis;

impl OpenSale {
    /// Whether the sale was opened anew: this one takes no click any more.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        *self.retired.borrow()
    }

    pub(crate) fn retire(&self) {
        self.retired.send_replace(true);
    }

    /// The terms as they are now.
    #[must_use]
    pub fn terms_now(&self) -> Terms {
        let terms = self.sale.terms();
        Terms {
            title: self.live.title().to_string(),
            image_url: self.image_url(),
            pay_within_s: self.live.pay_within_s(),
            windows: terms.windows.closing_at(self.sale.closes_at()),
            ..terms.clone()
        }
    }

    /// The title as it is now.
    #[must_use]
    pub fn title(&self) -> String {
        self.live.title().to_string()
    }

    /// Where a picture is, as it is now.
    #[must_use]
    pub fn image_url(&self) -> Option<String> {
        self.live.image_url().map(|url| url.to_string())
    }

    /// When a payment for an order confirmed at `at` is due.
    #[must_use]
    pub fn pay_by(&self, at: Millis) -> Millis {
        self.live.pay_by(at)
    }

    pub(crate) fn live(&self) -> &LiveTerms {
        &self.live
    }

    /// What happened to the sale since this process opened it.
    #[must_use]
    pub fn marks_noted(&self) -> Vec<(Millis, Mark)> {
        self.marks.all()
    }

    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }
}
