"""The number words of English and Korean: written out by the synthesis of data, recognised by scoring."""

from __future__ import annotations

from typing import Final

ENGLISH_BELOW_TWENTY: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
ENGLISH_TENS: Final = (
    "zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip

SINO_DIGITS: Final = "영일이삼사오육칠팔구"
"""Sino-Korean digits, 0 to 9."""

NATIVE_ONES: Final = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
"""Native Korean 1 to 9 as they stand before a counter, with "" for 0."""

NATIVE_TENS: Final = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
"""Native Korean 10 to 90, with "" for 0."""

NATIVE_TWENTY: Final = "스무"
"""20 before a counter; "스물" where ones follow."""
