//! Notices: what members should hear of, for readers of the outbox.

use super::Engine;
use super::outbox::{ChangeSource, Cursor, Told};
use crate::store::StoreError;

/// Notices of one bucket that are read before another bucket has its turn.
const TURN: usize = 100;

impl Engine {
    /// Reads about `most` of the notices behind the cursor, and moves the cursor on.
    pub(super) async fn read_notices(
        &self,
        cursor: &mut Cursor,
        most: usize,
        told: &mut Vec<Told>,
    ) -> Result<(), StoreError> {
        for (bucket, mut trimmed, mut newest) in self.book.notice_ends().await? {
            if told.len() >= most {
                break;
            }
            let at = usize::from(bucket.place());
            if cursor.notices.len() <= at {
                cursor.notices.resize(at + 1, 0);
            }
            let place = &mut cursor.notices[at];
            let source = || ChangeSource::Members(bucket);
            if *place > newest {
                // Another process may have told the reader of more than this one has seen.
                let head = self.store.book.read_members(bucket, &[]).await?.head;
                (trimmed, newest) = (head.trimmed, head.seq);
            }
            if *place > newest {
                // The store is of before the reader's last look.
                told.push(Told::Gap { source: source(), from: newest + 1, to: *place });
                *place = newest;
            }
            if *place < trimmed {
                told.push(Told::Gap { source: source(), from: *place + 1, to: trimmed });
                *place = trimmed;
            }
            if *place == newest {
                continue;
            }
            for entry in self.store.book.notices(bucket, *place, TURN).await? {
                let member = self.store.book.name(bucket.number(entry.index)).await?;
                if entry.seq > *place + 1 {
                    // They were trimmed since the look at the ends.
                    let (from, to) = (*place + 1, entry.seq - 1);
                    told.push(Told::Gap { source: source(), from, to });
                }
                *place = entry.seq;
                told.extend(member.map(|member| Told::Notice(member, bucket, entry)));
            }
        }
        Ok(())
    }
}
