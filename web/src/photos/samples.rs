//! The pages about photos in every state.

use shared::domain::photo::PhotoStatus;

use super::pages::PhotoCard;
use super::pages::gallery::PhotosPage;
use super::pages::photo::{Original, PhotoPage};
use super::picture::Picture;
use crate::pages::Section;
use crate::pages::samples::{NOON, html, id, shell};

/// Each by a name; `text` stands wherever somebody else's words do.
pub fn all(text: &str) -> Vec<(String, String)> {
    let mut pages = vec![
        ("photos".to_owned(), html(&photos(text))),
        (
            "photos-empty".to_owned(),
            html(&PhotosPage { photos: Vec::new(), older_url: None, ..photos(text) }),
        ),
        ("photos-older".to_owned(), html(&PhotosPage { first_page: false, ..photos(text) })),
        (
            "photos-problem".to_owned(),
            html(&PhotosPage { upload_problems: vec![text.to_owned(), text.to_owned()], ..photos(text) }),
        ),
    ];
    for status in [PhotoStatus::Ready, PhotoStatus::Processing, PhotoStatus::Rejected] {
        pages.push((format!("photo-{}", status.name()), html(&photo(text, status))));
    }
    pages
}

/// The sizes of a photo.
pub fn pictures(photo: usize, query: &str) -> Vec<Picture> {
    // Landscape, portrait, panorama, square, tiny.
    let shapes = [(3, 2), (2, 3), (5, 2), (1, 1)];
    let (across, down) = shapes[photo % shapes.len()];
    let sizes = [("thumb", 160), ("medium", 480), ("large", 1200)];
    sizes
        .map(|(name, width)| Picture {
            name: name.to_owned(),
            url: format!("/photos/{}/{name}{query}", id(photo)),
            width,
            height: width * down / across,
            bytes: u64::from(width) * 130,
        })
        .to_vec()
}

fn card(number: usize, name: &str, status: PhotoStatus, reason: &str) -> PhotoCard {
    PhotoCard {
        id: id(number),
        job_id: id(100 + number),
        name: name.to_owned(),
        status,
        reason: (status == PhotoStatus::Rejected).then(|| reason.to_owned()),
        pictures: if status == PhotoStatus::Ready { pictures(number, "") } else { Vec::new() },
        uploaded_at: NOON.to_owned(),
    }
}

fn photos(text: &str) -> PhotosPage {
    let names = [text, "IMG_2041.jpg", "grandma at the lake.png", text, "cat.webp", "  "];
    let mut photos = vec![
        card(20, "still-wet.jpg", PhotoStatus::Processing, ""),
        card(21, text, PhotoStatus::Processing, ""),
        card(22, "holiday.jpg", PhotoStatus::Rejected, text),
    ];
    photos.extend(names.iter().enumerate().map(|(number, name)| card(number, name, PhotoStatus::Ready, "")));
    PhotosPage {
        shell: shell(Section::Photos),
        photos,
        first_page: true,
        older_url: Some("/?before=0195a1b2&limit=24".to_owned()),
        upload_problems: Vec::new(),
        max_upload_bytes: 20 * 1024 * 1024,
        max_pixels: 40_000_000,
    }
}

fn photo(text: &str, status: PhotoStatus) -> PhotoPage {
    PhotoPage {
        shell: shell(Section::Photos),
        photo: card(4, text, status, text),
        original: Original {
            url: format!("/photos/{}/original", id(4)),
            content_type: "image/jpeg".to_owned(),
            width: 6000,
            height: 4000,
            bytes: 8_412_345,
        },
        problem: (status == PhotoStatus::Ready).then(|| text.to_owned()),
    }
}
