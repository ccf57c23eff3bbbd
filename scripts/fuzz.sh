#!/usr/bin/env bash
# make fuzz: files of every kind into the reader of imports, until one makes it fail. FUZZ_SECONDS (60) for each target.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
cd "$top"

need_cargo
if ! cargo fuzz --version >/dev/null 2>&1; then
    progress "installing cargo-fuzz (a minute or two, once)"
    cargo install cargo-fuzz --locked --quiet ||
        die "cargo-fuzz could not be installed." "Install it yourself, then run this again: cargo install cargo-fuzz --locked"
fi

# Files to begin with, made anew: cells with each delimiter, and the XML of each part.
seeds=fuzz/corpus
mkdir -p "$seeds/sheet" "$seeds/workbook" "$seeds/titles"
printf 'Name,1,c\nx,"y\nz",1\n' >"$seeds/sheet/comma"
printf '\xef\xbb\xbfName;1;c\r\nx;y;1\r\n' >"$seeds/sheet/semicolon"
printf '\xff\xfea\0\t\0b\0\n\0x\0\t\0y\0' >"$seeds/sheet/wide"
printf 'title\n\tName\nb\t\nb\t1\tPr\xc3\xa9nom\n' >"$seeds/titles/lines"
printf '\x06<worksheet><dimension ref="A1:B2"/><sheetData><row r="1"><c t="inlineStr"><is><t>a</t></is></c><c t="str"><f>A1</f><v>b</v></c></row><row><c r="A2" s="0"><v>45943.5</v></c><c t="b"><v>1</v></c><c t="e"><v>#REF!</v></c></row></sheetData></worksheet>' >"$seeds/workbook/sheet"
printf '\x01<?xml version="1.0" encoding="UTF-8"?><sst uniqueCount="2"><si><t xml:space="preserve">a</t></si><si><r><t>b</t></r></si></sst>' >"$seeds/workbook/strings"
printf '\x02<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy"/></numFmts><fonts><font><name val="a"/></font></fonts><cellXfs><xf numFmtId="164" fontId="0"/></cellXfs></styleSheet>' >"$seeds/workbook/styles"
printf '\x03<workbook><workbookPr date1904="1"/><sheets><sheet name="a" state="hidden" r:id="r"/></sheets><definedNames><definedName name="b">a!A1</definedName></definedNames></workbook>' >"$seeds/workbook/workbook"

# Without a sanitizer: there is no unsafe code to be found out, and it builds with any compiler.
for target in sheet workbook titles; do
    progress "fuzzing $target for ${FUZZ_SECONDS:-60} s"
    cargo fuzz run --dev --sanitizer none "$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -timeout=5 -rss_limit_mb=1024 -print_final_stats=0 -verbosity=0 ||
        die "$target failed." "What made it fail is in fuzz/artifacts/$target: \`cargo fuzz run --dev --sanitizer none $target FILE\` does it again."
done
