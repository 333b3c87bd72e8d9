//! Pictures to upload, good and bad.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

/// A JPEG with gradients and grain, as a camera's is: smooth pictures compress and decode too well.
pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    // The grain is one tile, repeated row by row: a random number a pixel takes seconds without optimisation.
    const TILE: usize = 512;
    let mut state = 0x9E37_79B9_u32;
    let tile: Vec<u8> = (0..TILE * TILE)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state % 48) as u8
        })
        .collect();
    let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height as usize {
        let row = &tile[y % TILE * TILE..][..TILE];
        let shade = (y * 160 / height as usize) as u8;
        let coloured: Vec<u8> =
            row.iter().flat_map(|grain| [shade + grain, 96 + grain, 200 - shade + grain]).collect();
        let mut left = width as usize * 3;
        while left > 0 {
            let part = left.min(coloured.len());
            pixels.extend_from_slice(&coloured[..part]);
            left -= part;
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.encode(&pixels, width, height, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// A small JPEG, larger than every size but `large`.
pub fn small_jpeg() -> Vec<u8> {
    jpeg(640, 480)
}

/// A small JPEG that no other call gives: for tests that tell photos apart.
pub fn jpeg_of_colour(red: u8, green: u8, blue: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(200, 150, Rgb([red, green, blue])).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// A PNG with transparent parts.
pub fn transparent_png(width: u32, height: u32) -> Vec<u8> {
    let picture = RgbaImage::from_fn(width, height, |x, y| {
        Rgba([(x * 7) as u8, (y * 5) as u8, ((x ^ y) * 3) as u8, if x < width / 2 { 0 } else { 255 }])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A PNG of one colour: a small file that takes three bytes a pixel when it is decoded.
pub fn blank_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let pixels = vec![0; width as usize * height as usize * 3];
    RgbImage::from_raw(width, height, pixels).unwrap().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A PNG of the most expensive pixels that there are: eight bytes each, when it is decoded.
pub fn deep_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let pixels = vec![0x7fff; width as usize * height as usize * 4];
    let picture: ImageBuffer<Rgba<u16>, _> = ImageBuffer::from_raw(width, height, pixels).unwrap();
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A PNG that breaks off in the middle of its picture: its header is fine.
pub fn truncated_png() -> Vec<u8> {
    let whole = transparent_png(300, 300);
    whole[..whole.len() / 2].to_vec()
}

/// The beginning of a PNG that says it has these dimensions, and no picture.
pub fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 6, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&header);
    bytes.extend(crc32(&header).to_be_bytes());
    bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    bytes
}

/// The checksum of a PNG's chunk (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

/// The dimensions of a picture, decoded whole.
pub fn dimensions(bytes: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory(bytes).unwrap();
    (picture.width(), picture.height())
}
