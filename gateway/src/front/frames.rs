//! Frames: values one after the other, as nodes write them to one another.

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use hyper::body::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// Most bytes of a value.
const VALUE_BYTES_MAX: usize = 256 << 10;

/// A value as it is written.
pub(super) fn written(value: &impl Serialize) -> Bytes {
    postcard::to_stdvec(value).expect("what nodes tell one another is plain data").into()
}

/// Reads values as they come.
#[derive(Debug)]
pub(super) struct Frames<T> {
    body: BodyDataStream,
    begun: Vec<u8>,
    values: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Frames<T> {
    pub(super) fn of(body: Body) -> Self {
        Self { body: body.into_data_stream(), begun: Vec::new(), values: PhantomData }
    }

    /// The next value; `None` when there are no more, or none that can be read. Nothing is lost if it is not waited
    /// for to the end.
    pub(super) async fn next(&mut self) -> Option<T> {
        loop {
            match postcard::take_from_bytes(&self.begun) {
                Ok((value, rest)) => {
                    let read = self.begun.len() - rest.len();
                    self.begun.drain(..read);
                    return Some(value);
                }
                Err(postcard::Error::DeserializeUnexpectedEnd) => {}
                Err(_) => return None,
            }
            if self.begun.len() > VALUE_BYTES_MAX {
                return None;
            }
            let piece = self.body.next().await?.ok()?;
            self.begun.extend_from_slice(&piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::convert::Infallible;

    async fn read(bytes: &[u8], length: usize) -> Vec<(u64, String)> {
        let pieces: Vec<_> =
            bytes.chunks(length).map(|piece| Ok::<_, Infallible>(piece.to_vec())).collect();
        let mut frames = Frames::of(Body::from_stream(stream::iter(pieces)));
        let mut values = Vec::new();
        while let Some(value) = frames.next().await {
            values.push(value);
        }
        values
    }

    #[tokio::test]
    async fn values_are_read_whatever_pieces_they_come_in_and_nothing_that_is_not_whole() {
        let values = [(7, "one".to_owned()), (300, "x".repeat(300)), (0, String::new())];
        let bytes: Vec<u8> = values.iter().flat_map(written).collect();
        for length in 1..bytes.len() {
            assert_eq!(read(&bytes, length).await, values, "{length}");
        }
        assert_eq!(read(&bytes[..bytes.len() - 1], 50).await, values[..2]);
        assert_eq!(read(&[0xff; 64], 64).await, []);
        assert_eq!(read(&written(&(1, "x".repeat(2 * VALUE_BYTES_MAX))), 1 << 14).await, []);
    }
}
