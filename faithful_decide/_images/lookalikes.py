"""What data is that is no picture of ours: the usual confusions, told by their first bytes."""

from __future__ import annotations

import re

from faithful_decide.errors import ImageError

_AS_PNG = "save it as PNG or JPEG and pass that"
_EXPORT = "export the page or picture that you mean as PNG"
_UNPACK = "unpack it and pass one image file"
_FRAME = "take the frame that you mean out of it and pass that"
_NOT_THE_PAGE = "pass the image itself, not the page that shows it"

# In the order in which they are tried; matched at the start of the data. Text is matched without
# regard to case and to white space in front.
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    (rb"....ftyp(hei[cxms]|hev[cxms]|mif[12]|msf1|miaf)", "a HEIC or HEIF image", _AS_PNG),
    (rb"....ftypcrx |II\*\x00....CR", "a raw photograph of a Canon camera", _AS_PNG),
    (rb"IIU\x00|IIR[OS]|MMOR|FUJIFILMCCD-RAW|FOVb", "a raw photograph", _AS_PNG),
    (rb"....(ftyp(?!avi[fs])|moov|wide|mdat)|\x1aE\xdf\xa3|RIFF....AVI ", "a video", _FRAME),
    (rb"\xff\x0a|\x00{3}\x0cJXL \r\n\x87\n", "a JPEG XL image", _AS_PNG),
    (rb"\x00{3}\x0cjP  |\xffO\xffQ", "a JPEG 2000 image", _AS_PNG),
    (rb"8BPS\x00", "a Photoshop document", _AS_PNG),
    (rb"\x00\x00[\x01\x02]\x00.\x00", "a Windows icon or cursor", _AS_PNG),
    (rb"P[1-7]\s|qoif|DDS |v/1\x01|icns|#\?RADIANCE", "an image in a rare format", _AS_PNG),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript drawing", _AS_PNG),
    (rb"SIMPLE  =|.{128}DICM", "scientific or medical data", _AS_PNG),
    (rb"\x1f\x8b", "a gzip archive", _UNPACK),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a zip archive or an office document", _UNPACK),
    (rb"BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!|.{257}ustar", "an archive", _UNPACK),
    (rb"\x93NUMPY", "an array of NumPy", "load it with numpy.load and pass the array"),
    (rb"PAR1|SQLite format 3|\x89HDF\r\n", "a data file", "read the image out of it"),
    (rb"RIFF....WAVE|ID3|OggS|fLaC", "a sound", "pass an image"),
)
_TEXT: tuple[tuple[bytes, str, str], ...] = (
    (rb"%pdf", "a PDF document", _EXPORT),
    (rb"<svg", "an SVG drawing", "export it as PNG"),
    (rb"<\?xml", "an XML document, perhaps an SVG drawing", "export it as PNG"),
    (rb"<(!doctype|html|head|body)", "a web page", _NOT_THE_PAGE),
    (rb"version https://git-lfs", "a Git LFS pointer", "fetch the real file with: git lfs pull"),
    (rb"data:", "a data URI as bytes", "pass it as text: data.decode()"),
    (rb"https?://", "an address, not what is there", "pass it as text, with allow_urls=True"),
    (rb"[{\[]", "JSON or another text", "read the image out of it"),
)
_BASE64 = re.compile(rb"\s*(/9j/|iVBORw0KGgo|R0lGOD[dl]h|UklGR|Qk[0-9A-Za-z+/]{20}|SUkqA|TU0AK)")


def format_in_base64(start: bytes) -> bool:
    """Whether a text starts as a picture does that is written in base64."""
    return _BASE64.match(start) is not None


def not_a_picture(data: bytes, formats: str) -> ImageError:
    """Say what data is that none of our formats fits."""
    start = data[:300]
    text = start.lstrip().lower()
    if format_in_base64(start):
        return ImageError(
            "this is an image in base64, not the image itself",
            hint="pass base64.b64decode(data), or a data URI as text",
        )
    for patterns, where in ((_BINARY, start), (_TEXT, text)):
        for pattern, what, hint in patterns:
            if re.match(pattern, where, re.DOTALL):
                return ImageError(f"this is {what}, not an image in a supported format", hint=hint)
    return ImageError(
        "the data is not an image in a supported format, or its header is damaged",
        hint=f"supported are {formats}; the content counts, not the file name",
    )
