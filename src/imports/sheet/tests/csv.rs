//! CSV files.

use super::*;

fn wide(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
}

#[test]
fn any_delimiter_and_any_encoding_with_a_mark_will_do() {
    let text = "names,nid,phone,e-mail\nÉric,1,\"2\",\"a, \"\"b\"\"\nc\"\n";
    let expected = [(2, vec!["Éric", "1", "2", "a, \"b\"\nc"])];
    assert_eq!(read_file(text.as_bytes()).texts(), expected);
    for delimiter in [";", "\t", "|"] {
        let text = text.replace("a, ", "a@ ").replace(',', delimiter).replace('@', ",");
        let kept = read_file(text.as_bytes());
        assert_eq!(kept.texts(), expected, "{delimiter}");
        assert_eq!(kept.head.unwrap().sheet, "");
    }
    for bytes in [
        wide(text, u16::to_le_bytes),
        wide(text, u16::to_be_bytes),
        format!("\u{feff}{text}").into_bytes(),
    ] {
        assert_eq!(read_file(&bytes).texts(), expected);
    }
}

#[test]
fn other_encodings_are_refused() {
    let odd = [&*wide("names,nid,phone\na,1,2\n", u16::to_le_bytes), b"x"].concat();
    let lone = [&*wide("names,nid,phone\na,1,2\n", u16::to_le_bytes), &[0, 0xd8]].concat();
    for bytes in [b"names,nid,phone\nRen\xe9,1,2\n".to_vec(), odd, lone] {
        assert_eq!(reason(&bytes), reasons::NOT_UTF8);
    }
    assert!(reason_as(b"names,nid,phone\nRen\xe9,1,2\n", "", None).description.contains("line 2"));
}

#[test]
fn rows_have_the_numbers_that_excel_shows() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "\nnames,nid,phone\n\n\na,1,\"x\ny\"\n,,\nb,2\nc,3,4,5,6";
        let kept = read_file(text.replace('\n', end).as_bytes());
        assert_eq!(kept.head.as_ref().unwrap().row, 2, "{end:?}");
        let inner = format!("x{end}y");
        assert_eq!(
            kept.texts(),
            [(5, vec!["a", "1", &*inner]), (7, vec!["b", "2", ""]), (8, vec!["c", "3", "4"])],
            "{end:?}"
        );
    }
}

#[test]
fn every_cell_is_text() {
    let kept = read_file(b"names,nid,phone\n =1+1 ,1.50,TRUE\n");
    let text = |text: &str| (text.to_owned(), Form::Text);
    assert_eq!(kept.rows, [(2, vec![text("=1+1"), text("1.50"), text("TRUE")])]);
    assert_eq!(reason(b"names,nid,phone\n"), reasons::NO_ROWS);
    assert_eq!(reason(b"names,nid\na,b\n"), reasons::MISSING_COLUMN);
    assert_eq!(reason(b"names;nid;phone;Phone number\na;b;c;d\n"), reasons::AMBIGUOUS_COLUMN);
}

#[test]
fn cells_and_records_without_an_end_take_no_more_than_the_file() {
    let open = format!("names,nid,phone\na,1,\"{}", "é,\n".repeat(2 << 20));
    assert_eq!(read_file(open.as_bytes()).rows[0].1[2].0.chars().count(), 32_767);
    let wide = format!("names,nid,phone\na,1,2{}\nb,1,2\n", ",x".repeat(4 << 20));
    let kept = read_file(wide.as_bytes());
    assert_eq!(kept.texts(), [(2, vec!["a", "1", "2"]), (3, vec!["b", "1", "2"])]);
    assert_eq!(
        reason(format!("names,nid,phone{}\na,1,2", ",x".repeat(198)).as_bytes()),
        reasons::TOO_MANY_COLUMNS
    );
    let long = format!("names,nid,phone\n{}", "a,1,2\n".repeat(1_048_576));
    assert_eq!(reason(long.as_bytes()), reasons::FILE_EXPANDS);
    assert_eq!(reason(",".repeat(10 << 20).as_bytes()), reasons::NO_HEADER);
}
