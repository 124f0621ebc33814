//! QR codes in a terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Black on white, whatever the colours of the terminal are: cameras want the dots darker than the ground.
const BLACK_ON_WHITE: &str = "\x1b[30;107m";

/// The colours of the terminal.
const AS_BEFORE: &str = "\x1b[0m";

/// A text as a QR code, two rows of dots in a line; `None` if it is too long for one. In colour if somebody watches.
pub(crate) fn drawn(text: &str, live: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let image = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Dark)
        .light_color(Dense1x2::Light)
        .quiet_zone(true)
        .build();
    if !live {
        return Some(image);
    }
    let lines = image.lines();
    let lines: Vec<String> = lines
        .map(|line| format!("{BLACK_ON_WHITE}{line}{AS_BEFORE}"))
        .collect();
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_drawn_and_too_much_text_is_not() {
        let image = drawn("ALLOD-PAIR:BABC", false).unwrap();
        let (width, lines) = (
            image.lines().next().unwrap().chars().count(),
            image.lines().count(),
        );
        // 21 dots and the quiet zone of 4 on each side; two rows in a line.
        assert!(width >= 29 && lines == width.div_ceil(2), "{width} {lines}");
        assert!(image.lines().all(|line| line.chars().count() == width));
        assert!(
            drawn("A", true)
                .unwrap()
                .lines()
                .all(|line| line.ends_with(AS_BEFORE))
        );
        assert_eq!(drawn(&"x".repeat(5000), false), None);
    }
}
