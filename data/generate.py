#!/usr/bin/env python3
"""Make the sample data: tags.csv and taps.csv, beside this file.

    python3 data/generate.py          write both files
    python3 data/generate.py --check  compare the files with a fresh run

The output is the same, byte for byte, on every machine and every Python from
3.9 on: the random numbers come from the small generator below, and all weights
are whole numbers, so no library version and no floating point takes part.
"""

import argparse
import sys
from bisect import bisect_right
from datetime import date, datetime, timedelta
from itertools import accumulate
from pathlib import Path

SEED = 20220701
TAPS = 50_000
FIRST_DAY = date(2022, 7, 1)
LAST_DAY = date(2023, 12, 31)
DAYS = (LAST_DAY - FIRST_DAY).days + 1
MIDNIGHT = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day)
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Per team: number of tags, share of the taps, offset from UTC in minutes, and
# the weight of each weekday from Monday to Sunday.
OFFICE = (11, 12, 12, 12, 10, 4, 3)
SHOP = (8, 8, 9, 10, 13, 15, 5)
RESTAURANT = (6, 7, 8, 10, 14, 16, 11)
EVERY_DAY = (10, 10, 10, 10, 10, 11, 11)
TEAMS = (
    (90, 24, 60, RESTAURANT),
    (78, 19, 0, SHOP),
    (68, 15, -300, OFFICE),
    (58, 12, 120, EVERY_DAY),
    (50, 9, 330, SHOP),
    (44, 7, -480, RESTAURANT),
    (38, 5, 540, EVERY_DAY),
    (30, 4, -180, SHOP),
    (24, 3, 600, OFFICE),
    (20, 2, 180, RESTAURANT),
)

# The weight of each hour of the local day: little at night, noon and evening high.
HOURS = (4, 2, 1, 1, 1, 2, 6, 16, 28, 32, 36, 54, 78, 70, 44, 36, 40, 54, 74, 82, 66, 42, 22, 10)

# What a tag hangs on: label, start of the slug, and the kinds it comes in.
PLACES = (
    ("Table", "menu-table", ("nfc", "qr", "nfc")),
    ("Window poster", "window-poster", ("qr",)),
    ("Trade fair badge", "fair-badge", ("nfc",)),
    ("Front door", "front-door", ("nfc",)),
    ("Shelf label", "shelf", ("nfc", "qr")),
    ("Parcel insert", "parcel-insert", ("qr",)),
    ("Bus stop poster", "bus-stop", ("qr", "nfc")),
    ("Counter display", "counter", ("nfc",)),
    ("Newsletter link", "newsletter", ("link",)),
    ("Profile link", "profile", ("link",)),
    ("Hotel room", "room", ("nfc", "qr")),
    ("Museum stand", "stand", ("nfc", "qr")),
    ("Machine plate", "machine", ("nfc",)),
    ("Receipt", "receipt", ("qr",)),
)

# The nights in which the clocks of Europe change, at 01:00 UTC.
CLOCK_CHANGES = (date(2022, 10, 30), date(2023, 3, 26), date(2023, 10, 29))
# Days on which every team has taps: they lie where weeks and years meet.
FULL_DAYS = (date(2023, 1, 1),) + tuple(date(2023, 12, day) for day in range(22, 32))


class Random:
    """SplitMix64: 64 random bits at a time, from whole-number arithmetic only."""

    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.state = seed

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & self.MASK
        return z ^ (z >> 31)

    def between(self, low, high):
        """A whole number from low to high, both included."""
        return low + self.bits() % (high - low + 1)

    def one_in(self, n):
        return self.bits() % n == 0

    def pick(self, items):
        return items[self.bits() % len(items)]

    def weighted(self, sums):
        """An index, given the running sums of the weights."""
        return bisect_right(sums, self.bits() % sums[-1])

    def uuid(self):
        high = (self.bits() & ~0xF000) | 0x4000  # version 4
        low = (self.bits() & ((1 << 62) - 1)) | (1 << 63)  # the RFC 9562 variant
        text = f"{high:016x}{low:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Tag:
    """One tag. Times are milliseconds after the start of FIRST_DAY, UTC."""

    def __init__(self, uid, team, created, label, kind, weight, first_day, last_day):
        self.uid = uid
        self.team = team
        self.created = created
        self.label = label
        self.kind = kind
        self.weight = weight  # how busy it is; 0: never tapped
        self.first_day = first_day
        self.last_day = last_day


def timestamp(millis):
    return (MIDNIGHT + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds") + "Z"


def day_number(day):
    return (day - FIRST_DAY).days


def make_uid(random, kind, slug, taken):
    """An NFC serial number, a decimal number or the slug, not given out before."""
    while True:
        style = random.between(1, 10)
        if kind == "link" or (kind == "qr" and style <= 6):
            uid = slug
        elif kind == "nfc" and style <= 8:
            uid = f"04{random.bits() >> 16:012X}"
        elif random.one_in(3):
            # Beyond 2^53: numbers that a float cannot hold.
            uid = str(random.between(2**53 + 1, 10**16 - 1))
        else:
            digits = random.between(10, 16)
            uid = str(random.between(10 ** (digits - 1), 10**digits - 1))
        if uid not in taken:
            return uid


def make_tags(random):
    tags = []
    taken = set()
    for team, (size, _, _, _) in enumerate(TEAMS, start=1):
        labels = set()
        for rank in range(size):
            name, slug, kinds = random.pick(PLACES)
            kind = random.pick(kinds)
            # A number that is new for the team's label and for the slug.
            number = 1
            while f"{name} {number}" in labels or f"{slug}-{number}" in taken:
                number += 1
            label = f"{name} {number}"
            labels.add(label)
            # A heavy tail: the first tags of a team get most of its taps.
            weight = 1_000_000 // ((rank + 1) * (rank + 12))
            first_day, last_day = 0, DAYS - 1
            if rank >= 5:
                if random.one_in(2):
                    first_day = random.between(1, DAYS - 30)
                if random.one_in(7):
                    last_day = min(last_day, first_day + random.between(4, 240))
                if random.one_in(10):
                    weight = 0
            # Made between one and sixty days before it is first in use.
            created = first_day * DAY - random.between(DAY, 60 * DAY)
            uid = make_uid(random, kind, f"{slug}-{number}", taken)
            taken.add(uid)
            tags.append(Tag(uid, team, created, label, kind, weight, first_day, last_day))
    return tags


def destination_url(place, tag):
    """Where the tap URL of a tag leads to; every tenth tag in the file leads nowhere."""
    if place % 10 == 0:
        return ""
    return f"https://example.com/team-{tag.team}/{tag.label.lower().replace(' ', '-')}"


def season(day):
    """The weight of a day by its date: growth, summer dip, December peak."""
    weight = 1_000 + 2 * day_number(day)
    if date(day.year, 7, 10) <= day <= date(day.year, 8, 31):
        weight = weight * 70 // 100
    if day.month == 12:
        weight = weight * (110 + 4 * min(day.day, 20)) // 100
        if day.day >= 24:
            weight = weight * 65 // 100
    return weight


def make_team_taps(random, team, tags, wanted):
    """The taps of one team, as (time, tag uid) pairs."""
    _, _, offset, week = TEAMS[team - 1]
    tags = [tag for tag in tags if tag.team == team]
    busy = [
        list(accumulate(t.weight if t.first_day <= day <= t.last_day else 0 for t in tags))
        for day in range(DAYS)
    ]

    def tap(millis):
        return millis, tags[random.weighted(busy[millis // DAY])].uid

    taps = []
    for night in CLOCK_CHANGES:
        change = day_number(night) * DAY + HOUR
        taps.append(tap(change - random.between(1, HOUR)))
        taps.append(tap(change + random.between(0, 5 * MINUTE)))
        taps.append(tap(change + random.between(0, HOUR)))
    for day in FULL_DAYS:
        taps.append(tap(day_number(day) * DAY + random.between(0, DAY - 1)))

    # The weight of every hour of the whole time, in the team's local time.
    weights = []
    local_start = MIDNIGHT + timedelta(minutes=offset)
    luck = {}
    for hour in range(DAYS * 24):
        local = local_start + timedelta(hours=hour)
        day = local.date()
        if day not in luck:
            luck[day] = random.between(75, 125)
        weights.append(season(day) * week[day.weekday()] * HOURS[local.hour] * luck[day])
    hours = list(accumulate(weights))
    while len(taps) < wanted:
        taps.append(tap(random.weighted(hours) * HOUR + random.between(0, HOUR - 1)))
    return taps


def make_count(random):
    """How many taps a row stands for: mostly one."""
    dice = random.between(1, 1_000)
    if dice <= 920:
        return 1
    if dice <= 998:
        return random.pick((2, 2, 2, 2, 3, 3, 4, 5))
    return random.between(6, 40)


def make_taps(random, tags):
    total = sum(share for _, share, _, _ in TEAMS)
    wanted = [TAPS * share // total for _, share, _, _ in TEAMS]
    wanted[0] += TAPS - sum(wanted)
    taps = []
    for team, number in enumerate(wanted, start=1):
        taps += make_team_taps(random, team, tags, number)
    taps.sort()
    return [(random.uuid(), uid, make_count(random), millis) for millis, uid in taps]


def make_files():
    random = Random(SEED)
    tags = make_tags(random)
    taps = make_taps(random, tags)
    tags.sort(key=lambda tag: (tag.created, tag.uid))
    tag_lines = ["tag_uid,team_id,created_at,label,kind,destination_url"]
    tag_lines += [
        f"{t.uid},{t.team},{timestamp(t.created)},{t.label},{t.kind},{destination_url(place, t)}"
        for place, t in enumerate(tags, start=1)
    ]
    tap_lines = ["id,tag_uid,count,created_at"]
    tap_lines += [f"{row},{uid},{count},{timestamp(at)}" for row, uid, count, at in taps]
    return {
        "tags.csv": ("\n".join(tag_lines) + "\n").encode("ascii"),
        "taps.csv": ("\n".join(tap_lines) + "\n").encode("ascii"),
    }


def main():
    parser = argparse.ArgumentParser(description="Make the sample data files.")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail if a file differs from a fresh run",
    )
    args = parser.parse_args()
    folder = Path(__file__).resolve().parent
    failed = False
    for name, content in make_files().items():
        path = folder / name
        if not args.check:
            path.write_bytes(content)
            print(f"{name}: wrote {len(content)} bytes")
        elif not path.is_file():
            failed = True
            print(f"{name}: missing", file=sys.stderr)
        elif path.read_bytes() != content:
            failed = True
            print(f"{name}: differs from a fresh run", file=sys.stderr)
        else:
            print(f"{name}: same")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
