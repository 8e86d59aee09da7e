//! The members' book: the port, what is kept of a bucket, and how it is read in layers.

mod file;
mod layers;
mod live;
mod older;
mod port;
mod rows;

pub(in crate::store) use file::BookFile;
pub(in crate::store) use live::LiveBook;
pub(in crate::store) use older::{OldChange, row};
pub(crate) use port::index_of;
pub use port::{
    BenefitCount, BookStore, Bucket, BucketChange, BucketHead, Folded, Found, FoundMember, Made,
    NameChange, NoticeEntry, PlanVersion, PostingKey, Wanted, Who,
};
