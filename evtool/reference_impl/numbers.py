# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversions between the wire's scales and milli-units, in integers only.

The twin of `firmware/lib/evcore/include/evcore/numbers.hpp`. Every function gives the same
integer in both languages for every input; the rounding is written here and nowhere else.
"""

from __future__ import annotations

MILLI_LIMIT = 2**31  # a float32 beyond this many milli-units cannot be believed
MAX_FIELD = 0xFFFF


def deci_to_milli(raw: int) -> int:
    """0.1 V or 0.1 A (or 0.1 degrees) to milli-units."""
    return raw * 100


def milli_to_deci_field(milli: int) -> int:
    """Milli-units to a u16 field of 0.1, rounded half up, saturated to 0..65535."""
    return min(max((milli + 50) // 100, 0), MAX_FIELD)


def per_1024_to_milli(raw: int) -> int:
    """Unsigned 1/1024 V or A to milli-units, rounded half up."""
    return (raw * 1000 + 512) // 1024


def voltage_setpoint_to_raw(millivolts: int) -> int:
    """Millivolts (not negative) to the module's 1/1024 V, rounded half up."""
    return (millivolts * 1024 + 500) // 1000


def current_setpoint_to_raw(milliamperes: int) -> int:
    """Milliamperes (not negative) to the module's 1/30.5 A, rounded half up."""
    return (milliamperes * 61 + 1000) // 2000


def current_setpoint_to_milli(raw: int) -> int:
    """The module's 1/30.5 A to milliamperes, rounded half up."""
    return (raw * 2000 + 30) // 61


def float32_to_milli(bits: int) -> int | None:
    """The bit pattern of an IEEE-754 float32 times 1000, rounded half away from zero.

    Computed on the bit pattern, so that no floating-point unit or rounding mode has a say.

    Returns:
        milli-units; None for NaN, infinity and whatever lies beyond +-2**31 milli-units.
    """
    exponent = bits >> 23 & 0xFF
    mantissa = bits & 0x7FFFFF
    if exponent == 0xFF:
        return None
    # value = mantissa * 2**shift; a subnormal has no hidden bit and the exponent of 1
    shift = (exponent or 1) - 150
    if exponent:
        mantissa |= 0x800000
    scaled = mantissa * 1000  # below 2**34
    if shift >= 0:
        # 2**23 * 1000 is beyond 2**31 already, so only a zero could survive, and it has shift < 0
        return None
    if shift < -35:
        return 0
    magnitude = (scaled + (1 << (-shift - 1))) >> -shift
    if magnitude > MILLI_LIMIT:
        return None
    return -magnitude if bits >> 31 else magnitude


def power_mw(millivolts: int, milliamperes: int) -> int:
    """Milliwatts, rounded half away from zero."""
    microwatts = millivolts * milliamperes
    magnitude = (abs(microwatts) + 500) // 1000
    return magnitude if microwatts >= 0 else -magnitude


def soc_permille(remaining_mah: int, capacity_mah: int) -> int | None:
    """State of charge in 0.1 %, rounded half up and held to 0..1000; None without a capacity."""
    if capacity_mah <= 0:
        return None
    if remaining_mah <= 0:
        return 0
    return min((remaining_mah * 2000 + capacity_mah) // (2 * capacity_mah), 1000)


def fixed_text(milli: int, decimals: int) -> str:
    """Milli-units as a decimal number with 1 to 3 `decimals`, rounded half away from zero."""
    step = 10 ** (3 - decimals)
    magnitude = (abs(milli) + step // 2) // step
    whole, fraction = divmod(magnitude, 10**decimals)
    sign = "-" if milli < 0 and magnitude else ""
    return f"{sign}{whole}.{fraction:0{decimals}d}"
