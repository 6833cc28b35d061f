/* One rounding, the server's (events/wording.py): half a last place goes away from zero, on the number as it is written. */

/* A number moved by powers of ten without the crumbs of a multiplication: 0.285 by 2 is 28.5. */
export function shifted(value, places) {
  const [digits, exponent = "0"] = String(value).split("e");
  return Number(`${digits}e${Number(exponent) + places}`);
}

export function rounded(value, places) {
  const up = Math.round(shifted(Math.abs(value), places));
  return Math.sign(value) * shifted(up, -places);
}
