//! Files made here, sent through the whole pipeline.

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use moxcms::ColorProfile;
use shared::domain::photo::{ImageType, PictureLimits};
use shared::domain::print::PrintSize;

use super::protocol::{self, Request, Task};
use super::{Picture, Rejection, child, make_variants, render_print};

const LIMITS: PictureLimits = PictureLimits { max_pixels: 40_000_000, max_side: 16_384 };

const RED: [u8; 3] = [220, 30, 30];
const GREEN: [u8; 3] = [30, 200, 30];
const BLUE: [u8; 3] = [30, 30, 220];
const GREY: [u8; 3] = [120, 120, 120];

/// Red at the top left, green at the top right, blue at the bottom left, grey at the bottom right.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => GREY,
        })
    })
}

fn png(pixels: impl Into<DynamicImage>) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    pixels.into().write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// A JPEG with an Exif block (orientation) and a profile, where they are given.
fn jpeg(pixels: &RgbImage, exif: Option<Vec<u8>>, profile: Option<Vec<u8>>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, 92);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).unwrap();
    }
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile).unwrap();
    }
    encoder.write_image(pixels, pixels.width(), pixels.height(), ExtendedColorType::Rgb8).unwrap();
    file
}

/// An Exif block (TIFF 6.0) that holds an orientation and the word "secret".
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block.extend(b"secret");
    block
}

fn pixels(picture: &Picture) -> DynamicImage {
    let image = image::load_from_memory(&picture.bytes).unwrap();
    assert_eq!((image.width(), image.height()), (picture.width, picture.height));
    image
}

#[track_caller]
fn assert_near(found: [u8; 3], expected: [u8; 3], tolerance: u8) {
    let near = found.iter().zip(expected).all(|(&a, b)| a.abs_diff(b) <= tolerance);
    assert!(near, "{found:?} is not {expected:?}");
}

/// The colours at the middle of the four quarters: top left, top right, bottom left, bottom right.
fn corners(picture: &Picture) -> [[u8; 3]; 4] {
    let image = pixels(picture).into_rgb8();
    let (width, height) = image.dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| image.get_pixel(width * x / 4, height * y / 4).0)
}

#[test]
fn every_photo_gets_three_sizes_the_largest_first() {
    let pictures = make_variants(&jpeg(&quarters(1_600, 800), None, None), &LIMITS).unwrap();
    let made: Vec<_> = pictures.iter().map(|p| (p.width, p.height, p.content_type)).collect();
    assert_eq!(
        made,
        [(1_200, 600, ImageType::Jpeg), (480, 240, ImageType::Jpeg), (160, 80, ImageType::Jpeg),]
    );
    for picture in &pictures {
        for (found, expected) in corners(picture).into_iter().zip([RED, GREEN, BLUE, GREY]) {
            assert_near(found, expected, 12);
        }
    }
}

#[test]
fn all_formats_are_recognised_by_their_content() {
    let source = quarters(40, 20);
    let rgba = DynamicImage::from(source.clone()).into_rgba8();
    let mut gif = Vec::new();
    GifEncoder::new(&mut gif).encode(&rgba, 40, 20, ExtendedColorType::Rgba8).unwrap();
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).encode(&source, 40, 20, ExtendedColorType::Rgb8).unwrap();
    for file in [jpeg(&source, None, None), png(source), gif, webp] {
        let pictures = make_variants(&file, &LIMITS).unwrap();
        assert_near(corners(&pictures[0])[2], BLUE, 25);
    }
    for file in [b"<svg/>".as_slice(), b"", b"II*\0", b"BM"] {
        assert_eq!(make_variants(file, &LIMITS), Err(Rejection::UnknownFormat));
    }
}

#[test]
fn all_eight_orientations_end_upright() {
    // What the four corners of the stored picture become when it is shown (Exif 2.32, tag 274).
    let expected = [
        (1, [RED, GREEN, BLUE, GREY]),
        (2, [GREEN, RED, GREY, BLUE]),
        (3, [GREY, BLUE, GREEN, RED]),
        (4, [BLUE, GREY, RED, GREEN]),
        (5, [RED, BLUE, GREEN, GREY]),
        (6, [BLUE, RED, GREY, GREEN]),
        (7, [GREY, GREEN, BLUE, RED]),
        (8, [GREEN, GREY, RED, BLUE]),
    ];
    // Large enough that the decoder scales down, so that the choice of the side is tested too.
    let source = quarters(5_000, 2_600);
    for (orientation, colours) in expected {
        let pictures = make_variants(&jpeg(&source, Some(exif(orientation)), None), &LIMITS).unwrap();
        let height = if orientation < 5 { 624 } else { 2_308 };
        assert_eq!((pictures[0].width, pictures[0].height), (1_200, height), "orientation {orientation}");
        for (found, colour) in corners(&pictures[2]).into_iter().zip(colours) {
            assert_near(found, colour, 16);
        }
    }
}

#[test]
fn png_and_webp_are_turned_too() {
    let source = quarters(40, 20);
    let (mut png, mut webp) = (Vec::new(), Vec::new());
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(&source, 40, 20, ExtendedColorType::Rgb8).unwrap();
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(&source, 40, 20, ExtendedColorType::Rgb8).unwrap();
    for file in [png, webp] {
        let pictures = make_variants(&file, &LIMITS).unwrap();
        assert_eq!((pictures[0].width, pictures[0].height), (20, 40));
        assert_near(corners(&pictures[0])[0], BLUE, 25);
    }
}

#[test]
fn metadata_and_foreign_bytes_are_gone() {
    let mut file =
        jpeg(&quarters(300, 200), Some(exif(1)), Some(ColorProfile::new_display_p3().encode().unwrap()));
    file.extend(b"<script>alert(1)</script>");
    for picture in make_variants(&file, &LIMITS).unwrap() {
        for trace in [b"secret".as_slice(), b"Exif", b"ICC_PROFILE", b"<script"] {
            assert!(!picture.bytes.windows(trace.len()).any(|window| window == trace));
        }
    }
}

#[test]
fn a_small_photo_keeps_its_width() {
    let pictures = make_variants(&png(quarters(200, 100)), &LIMITS).unwrap();
    let sizes: Vec<_> = pictures.iter().map(|picture| (picture.width, picture.height)).collect();
    assert_eq!(sizes, [(200, 100), (200, 100), (160, 80)]);
}

#[test]
fn the_thinnest_photos_keep_a_row_and_a_column() {
    let wide = make_variants(&png(quarters(16_384, 2)), &LIMITS).unwrap();
    assert!(wide.iter().all(|picture| picture.height == 1));
    let high = make_variants(&png(quarters(2, 16_384)), &LIMITS).unwrap();
    assert!(high.iter().all(|picture| (picture.width, picture.height) == (2, 16_384)));
}

#[test]
fn transparency_is_kept_as_png() {
    // Opaque red on the left; on the right green that nobody may see, not even at the seam.
    let source =
        RgbaImage::from_fn(
            600,
            300,
            |x, _| {
                if x < 300 { Rgba([220, 30, 30, 255]) } else { Rgba([0, 255, 0, 0]) }
            },
        );
    for picture in make_variants(&png(source), &LIMITS).unwrap() {
        assert_eq!(picture.content_type, ImageType::Png);
        let image = pixels(&picture).into_rgba8();
        assert_eq!(image.get_pixel(picture.width / 4, 20).0, [220, 30, 30, 255]);
        assert_eq!(image.get_pixel(picture.width * 3 / 4, 20)[3], 0);
        if picture.width < 600 {
            assert!(image.pixels().all(|pixel| pixel[3] == 0 || pixel[1] < 60), "green bled through");
        }
    }
}

#[test]
fn an_alpha_channel_that_hides_nothing_makes_no_png() {
    let opaque = DynamicImage::from(quarters(300, 200)).into_rgba8();
    let grey = DynamicImage::from(quarters(30, 20)).into_luma_alpha8();
    let wide = DynamicImage::from(quarters(30, 20)).into_rgba16();
    for file in [png(opaque), png(grey), png(wide)] {
        for picture in make_variants(&file, &LIMITS).unwrap() {
            assert_eq!(picture.content_type, ImageType::Jpeg);
        }
    }
}

#[test]
fn grey_and_16_bit_pixels_are_understood() {
    let source = DynamicImage::from(quarters(60, 40));
    let grey = make_variants(&png(source.to_luma8()), &LIMITS).unwrap();
    assert_near(corners(&grey[0])[3], GREY, 3);
    let wide_grey = make_variants(&png(source.to_luma16()), &LIMITS).unwrap();
    assert_near(corners(&wide_grey[0])[3], GREY, 3);
    let wide = make_variants(&png(source.to_rgb16()), &LIMITS).unwrap();
    assert_near(corners(&wide[0])[1], GREEN, 16);
}

#[test]
fn colours_are_converted_from_the_profile_of_the_file() {
    // The same light needs more extreme numbers in sRGB than in a wider space; these are the definitions of the
    // spaces worked out by hand.
    let source = RgbImage::from_pixel(64, 64, Rgb([180, 120, 100]));
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let pictures = make_variants(&jpeg(&source, None, Some(profile)), &LIMITS).unwrap();
    assert_near(corners(&pictures[0])[0], [190, 117, 96], 4);

    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(ColorProfile::new_adobe_rgb().encode().unwrap()).unwrap();
    encoder.write_image(&source, 64, 64, ExtendedColorType::Rgb8).unwrap();
    let pictures = make_variants(&file, &LIMITS).unwrap();
    assert_near(corners(&pictures[0])[0], [199, 121, 99], 4);
}

#[test]
fn a_senseless_profile_is_ignored() {
    let source = quarters(64, 64);
    let grey_profile = ColorProfile::new_gray_with_gamma(2.2).encode().unwrap();
    for profile in [b"no profile".to_vec(), vec![0; 200], grey_profile] {
        let pictures = make_variants(&jpeg(&source, None, Some(profile)), &LIMITS).unwrap();
        assert_near(corners(&pictures[0])[0], RED, 16);
    }
}

#[test]
fn inks_become_colours_with_and_without_adobes_marker() {
    // Full cyan and yellow, no magenta, no black: green.
    let inks = [255, 0, 255, 0].repeat(64 * 64);
    let mut plain = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut plain, 95);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    encoder.encode(&inks, 64, 64, jpeg_encoder::ColorType::Cmyk).unwrap();
    let adobe =
        plain.windows(5).position(|window| window == b"Adobe").expect("the encoder writes the marker");
    let found = corners(&make_variants(&plain, &LIMITS).unwrap()[0])[0];
    assert_near(found, [0, 255, 0], 10);

    // Without the marker the stored numbers mean the opposite.
    plain[adobe] = b'?';
    let found = corners(&make_variants(&plain, &LIMITS).unwrap()[0])[0];
    assert_near(found, [0, 0, 0], 10);
}

#[test]
fn a_truncated_photo_is_refused_and_never_half_grey() {
    let source = quarters(300, 200);
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).encode(&source, 300, 200, ExtendedColorType::Rgb8).unwrap();
    let mut gif = Vec::new();
    let rgba = DynamicImage::from(source.clone()).into_rgba8();
    GifEncoder::new(&mut gif).encode(&rgba, 300, 200, ExtendedColorType::Rgba8).unwrap();
    for file in [jpeg(&source, None, None), png(source), webp, gif] {
        for percent in [10, 50, 90, 98] {
            let cut = &file[..file.len() * percent / 100];
            assert_eq!(
                make_variants(cut, &LIMITS),
                Err(Rejection::Damaged),
                "{:?} at {percent} %",
                &file[..4]
            );
        }
    }
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let mut file = png(quarters(8, 8));
    file[16..20].copy_from_slice(&30_000_u32.to_be_bytes());
    file[20..24].copy_from_slice(&30_000_u32.to_be_bytes());
    // The decoder checks the header's sum before it believes the header.
    let sum = crc(&file[12..29]);
    file[29..33].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(
        make_variants(&file, &LIMITS),
        Err(Rejection::TooManyPixels { width: 30_000, height: 30_000, max_pixels: 40_000_000 })
    );

    let mut file = jpeg(&quarters(8, 8), None, None);
    let frame = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    file[frame + 5..frame + 9].copy_from_slice(&[0x75, 0x30, 0x75, 0x30]);
    assert_eq!(
        make_variants(&file, &LIMITS),
        Err(Rejection::TooManyPixels { width: 30_000, height: 30_000, max_pixels: 40_000_000 })
    );
}

/// CRC-32 as PNG has it (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_file_of_countless_parts_is_refused() {
    let mut file = jpeg(&quarters(8, 8), None, None);
    let scan = file.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let one = file[scan..file.len() - 2].to_vec();
    file.truncate(file.len() - 2);
    (0..300).for_each(|_| file.extend(&one));
    file.extend([0xFF, 0xD9]);
    assert!(matches!(make_variants(&file, &LIMITS), Err(Rejection::TooManyParts { .. })));

    let mut file = Vec::new();
    let mut encoder = GifEncoder::new(&mut file);
    let frame = RgbaImage::new(1, 1);
    (0..1_001).for_each(|_| encoder.encode(&frame, 1, 1, ExtendedColorType::Rgba8).unwrap());
    drop(encoder);
    assert!(matches!(make_variants(&file, &LIMITS), Err(Rejection::TooManyParts { .. })));
}

#[tokio::test]
async fn the_child_answers_each_request_in_turn_until_its_input_closes() {
    let mut requests = Vec::new();
    let good = png(quarters(20, 10));
    let request = Request { limits: LIMITS, task: Task::Sizes };
    for file in [good.as_slice(), b"rubbish", good.as_slice()] {
        protocol::send_request(&mut requests, &request, file).await.unwrap();
    }
    let mut answers = Vec::new();
    child::serve(&mut requests.as_slice(), &mut answers).unwrap();

    let mut answers = answers.as_slice();
    let expected = make_variants(&good, &LIMITS).unwrap();
    assert_eq!(protocol::receive_answer(&mut answers).await.unwrap(), Ok(expected.clone()));
    assert_eq!(protocol::receive_answer(&mut answers).await.unwrap(), Err(Rejection::UnknownFormat));
    assert_eq!(protocol::receive_answer(&mut answers).await.unwrap(), Ok(expected));
    assert!(answers.is_empty());
}

/// Prints, small enough to be made often.
const PRINT: PrintSize = PrintSize { short: 200, long: 300, dpi: 300 };

fn print_of(file: &[u8]) -> Picture {
    render_print(file, &LIMITS, PRINT).unwrap()
}

#[test]
fn a_print_has_exactly_its_size_and_lies_as_its_photo_does() {
    let table = [
        ((1_600, 1_200), (300, 200)),
        ((1_200, 1_600), (200, 300)),
        ((500, 500), (200, 300)),
        ((4_000, 100), (300, 200)),
        ((60, 40), (300, 200)),
    ];
    for ((width, height), expected) in table {
        let print = print_of(&jpeg(&quarters(width, height), None, None));
        assert_eq!((print.width, print.height), expected, "{width} × {height}");
        assert_eq!(print.content_type, ImageType::Jpeg);
        for (found, colour) in corners(&print).into_iter().zip([RED, GREEN, BLUE, GREY]) {
            assert_near(found, colour, 16);
        }
    }
}

#[test]
fn a_print_is_cropped_around_the_middle_and_never_squeezed() {
    // A blue square in the middle of a wide red picture stays a square.
    let wide = RgbImage::from_fn(1_200, 400, |x, _| Rgb(if (400..800).contains(&x) { BLUE } else { RED }));
    let print = pixels(&print_of(&png(wide))).into_rgb8();
    assert_near(print.get_pixel(20, 100).0, RED, 8);
    for x in [60, 150, 240] {
        assert_near(print.get_pixel(x, 100).0, BLUE, 8);
    }
    assert_near(print.get_pixel(280, 100).0, RED, 8);
}

#[test]
fn a_photo_that_the_camera_turned_is_printed_as_it_is_shown() {
    // Stored lying, shown standing; large enough that the decoder scales down.
    let stored = jpeg(&quarters(3_000, 2_000), Some(exif(6)), None);
    let print = print_of(&stored);
    assert_eq!((print.width, print.height), (200, 300));
    for (found, colour) in corners(&print).into_iter().zip([BLUE, RED, GREY, GREEN]) {
        assert_near(found, colour, 16);
    }
}

#[test]
fn a_decoder_that_scales_down_leaves_enough_pixels_for_the_print() {
    // Fine stripes that would turn grey if the print were scaled up from fewer pixels.
    let stripes = RgbImage::from_fn(2_400, 1_600, |x, _| Rgb(if x / 8 % 2 == 0 { [0; 3] } else { [255; 3] }));
    let print = pixels(&print_of(&jpeg(&stripes, None, None))).into_rgb8();
    let row: Vec<u8> = (100..200).map(|x| print.get_pixel(x, 100)[0]).collect();
    let (darkest, lightest) = (row.iter().min().unwrap(), row.iter().max().unwrap());
    assert!(*darkest < 40 && *lightest > 215, "{darkest}–{lightest}");
}

#[test]
fn a_print_file_knows_its_size_on_paper() {
    let print = print_of(&jpeg(&quarters(60, 40), None, None));
    // JFIF 1.02: unit "dots per inch", then across and down.
    assert_eq!(print.bytes[6..11], *b"JFIF\0");
    assert_eq!(print.bytes[13..18], [1, 1, 44, 1, 44]);
}

#[test]
fn what_is_transparent_is_printed_as_white_paper() {
    let half = RgbaImage::from_fn(60, 40, |x, _| Rgba([200, 0, 0, if x < 30 { 255 } else { 0 }]));
    let print = pixels(&print_of(&png(half))).into_rgb8();
    assert_near(print.get_pixel(50, 100).0, [200, 0, 0], 8);
    assert_near(print.get_pixel(250, 100).0, [255, 255, 255], 4);
    let grey =
        image::GrayAlphaImage::from_fn(60, 40, |x, _| image::LumaA([90, if x < 30 { 255 } else { 0 }]));
    let print = pixels(&print_of(&png(grey))).into_luma8();
    assert!(print.get_pixel(50, 100)[0].abs_diff(90) < 8 && print.get_pixel(250, 100)[0] > 250);
}

#[tokio::test]
async fn the_child_renders_prints_too() {
    let good = png(quarters(20, 10));
    let mut requests = Vec::new();
    let request = Request { limits: LIMITS, task: Task::Print(PRINT) };
    protocol::send_request(&mut requests, &request, &good).await.unwrap();
    let mut answers = Vec::new();
    child::serve(&mut requests.as_slice(), &mut answers).unwrap();
    assert_eq!(protocol::receive_answer(&mut answers.as_slice()).await.unwrap(), Ok(vec![print_of(&good)]));
}
