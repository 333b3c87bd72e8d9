//! What the worker and an imaging process say to each other: requests on the child's standard input, answers
//! on its standard output, one at a time and in turn.
//!
//! A frame is its length (64 bits, big endian) and that many bytes.
//! A request is two frames: what to do within which limits ([`Request`] as JSON), and the file.
//! An answer is a frame of JSON (a [`Rejection`], or what the pictures are), then a frame for each picture.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use shared::domain::photo::{ImageType, PictureLimits};
use shared::domain::print::PrintSize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Picture, Rejection};

/// The greatest frame in bytes; more can only mean that the two ends lost step.
const MAX_FRAME: u64 = 1 << 30;

/// What is to be made of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The sizes that the shop shows.
    Sizes,
    /// A print.
    Print(PrintSize),
}

/// A request without its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What the picture may measure.
    pub limits: PictureLimits,
    /// What is to be made of it.
    pub task: Task,
}

/// A picture without its bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    width: u32,
    height: u32,
    content_type: ImageType,
}

/// The worker's end: asks.
///
/// # Errors
/// The pipe's own, when the child is gone.
pub async fn send_request(
    pipe: &mut (impl AsyncWrite + Unpin),
    request: &Request,
    original: &[u8],
) -> io::Result<()> {
    for body in [serde_json::to_vec(request)?.as_slice(), original] {
        pipe.write_all(&length(body)).await?;
        pipe.write_all(body).await?;
    }
    pipe.flush().await
}

/// The worker's end: hears the answer.
///
/// # Errors
/// The pipe's own; `UnexpectedEof` when the child is gone; `InvalidData` for anything but an answer.
pub async fn receive_answer(
    pipe: &mut (impl AsyncRead + Unpin),
) -> io::Result<Result<Vec<Picture>, Rejection>> {
    let heads: Result<Vec<Head>, Rejection> = serde_json::from_slice(&receive_frame(pipe).await?)?;
    let heads = match heads {
        Ok(heads) => heads,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let mut pictures = Vec::with_capacity(heads.len());
    for Head { width, height, content_type } in heads {
        let bytes = receive_frame(pipe).await?;
        pictures.push(Picture { width, height, content_type, bytes });
    }
    Ok(Ok(pictures))
}

async fn receive_frame(pipe: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = checked(pipe.read_u64().await?)?;
    let mut body = Vec::new();
    // `take` grows the buffer by what arrives: a false length allocates nothing.
    pipe.take(length).read_to_end(&mut body).await?;
    complete(body, length)
}

/// The child's end: waits for a request; `None` when the worker has closed the pipe.
///
/// # Errors
/// The pipe's own; `UnexpectedEof` when it closes half-way; `InvalidData` for anything but a request.
pub fn read_request(pipe: &mut impl Read) -> io::Result<Option<(Request, Vec<u8>)>> {
    let Some(request) = read_frame(pipe)? else { return Ok(None) };
    let original = read_frame(pipe)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some((serde_json::from_slice(&request)?, original)))
}

/// The child's end: answers.
///
/// # Errors
/// The pipe's own, when the worker is gone.
pub fn write_answer(pipe: &mut impl Write, answer: Result<Vec<Picture>, Rejection>) -> io::Result<()> {
    let (pictures, rejection) = match answer {
        Ok(pictures) => (pictures, None),
        Err(rejection) => (Vec::new(), Some(rejection)),
    };
    let heads: Vec<Head> = pictures
        .iter()
        .map(|&Picture { width, height, content_type, .. }| Head { width, height, content_type })
        .collect();
    write_frame(pipe, &serde_json::to_vec(&rejection.map_or(Ok(heads), Err))?)?;
    for picture in &pictures {
        write_frame(pipe, &picture.bytes)?;
    }
    pipe.flush()
}

fn read_frame(pipe: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = Vec::with_capacity(8);
    pipe.by_ref().take(8).read_to_end(&mut prefix)?;
    if prefix.is_empty() {
        return Ok(None);
    }
    let prefix = <[u8; 8]>::try_from(prefix).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    let length = checked(u64::from_be_bytes(prefix))?;
    let mut body = Vec::new();
    pipe.take(length).read_to_end(&mut body)?;
    complete(body, length).map(Some)
}

fn write_frame(pipe: &mut impl Write, body: &[u8]) -> io::Result<()> {
    pipe.write_all(&length(body))?;
    pipe.write_all(body)
}

fn length(body: &[u8]) -> [u8; 8] {
    (body.len() as u64).to_be_bytes()
}

fn checked(length: u64) -> io::Result<u64> {
    if length <= MAX_FRAME { Ok(length) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn complete(body: Vec<u8>, length: u64) -> io::Result<Vec<u8>> {
    if body.len() as u64 == length { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request = Request {
        limits: PictureLimits { max_pixels: 1_000, max_side: 100 },
        task: Task::Print(PrintSize { short: 10, long: 15, dpi: 300 }),
    };

    async fn request(original: &[u8]) -> Vec<u8> {
        let mut pipe = Vec::new();
        send_request(&mut pipe, &REQUEST, original).await.unwrap();
        pipe
    }

    #[tokio::test]
    async fn requests_arrive_one_after_the_other_until_the_pipe_closes() {
        let mut pipe = request(b"first").await;
        pipe.extend(request(b"").await);
        let mut pipe = pipe.as_slice();
        assert_eq!(read_request(&mut pipe).unwrap(), Some((REQUEST, b"first".to_vec())));
        assert_eq!(read_request(&mut pipe).unwrap(), Some((REQUEST, Vec::new())));
        assert_eq!(read_request(&mut pipe).unwrap(), None);
    }

    #[tokio::test]
    async fn a_request_that_breaks_off_is_an_error() {
        let whole = request(b"a file").await;
        for end in 1..whole.len() {
            let error = read_request(&mut &whole[..end]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "after {end} bytes");
        }
    }

    #[tokio::test]
    async fn an_answer_arrives_as_it_was_given() {
        let picture = |bytes: &[u8]| Picture {
            width: 3,
            height: 2,
            content_type: ImageType::Png,
            bytes: bytes.to_vec(),
        };
        let answers = [
            Ok(vec![picture(b"large"), picture(b"")]),
            Err(Rejection::TooManyPixels { width: 1, height: 2, max_pixels: 3 }),
        ];
        for answer in answers {
            let mut pipe = Vec::new();
            write_answer(&mut pipe, answer.clone()).unwrap();
            assert_eq!(receive_answer(&mut pipe.as_slice()).await.unwrap(), answer);
            let cut = &pipe[..pipe.len() - 1];
            // The last picture may be empty: then the cut goes through its length.
            let error = receive_answer(&mut &*cut).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn a_senseless_length_is_refused_before_anything_is_allocated() {
        let error = receive_answer(&mut [0xFF; 16].as_slice()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = read_request(&mut [0xFF; 16].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
