"""A PNG as a browser's screenshot has it, as colours to count. The browser reads it: in Python that
would take seconds."""

import base64
import collections

_COUNT = """
const [png, left, top, right, bottom, done] = arguments;
const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
const blob = new Blob([bytes], { type: "image/png" });
createImageBitmap(blob, { colorSpaceConversion: "none" }).then((bitmap) => {
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), pen = canvas.getContext("2d");
    pen.drawImage(bitmap, 0, 0);
    const { data } = pen.getImageData(left, top, (right ?? bitmap.width) - left,
                                      (bottom ?? bitmap.height) - top);
    const counts = new Map();
    for (let i = 0; i < data.length; i += 4) {
        const colour = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
        counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
    done([...counts]);
}).catch((e) => done(String(e)));
"""


class Picture:
    def __init__(self, browser, png):
        self._driver, self._png = browser.driver, base64.b64encode(png).decode()

    def colours(self, left=0, top=0, right=None, bottom=None):
        """How many pixels of each colour (three bytes) a part of it has."""
        box = (None if edge is None else int(edge) for edge in (left, top, right, bottom))
        counts = self._driver.execute_async_script(_COUNT, self._png, *box)
        assert isinstance(counts, list), counts
        return collections.Counter({colour.to_bytes(3, "big"): count for colour, count in counts})
