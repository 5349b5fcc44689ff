"""PDFs that neither pypdfium2 nor Pillow writes: a form, a broken page, page labels, a password."""

from __future__ import annotations

import ctypes
import hashlib


def write_pdf(*objects: str, trailer: str = "") -> bytes:
    """Write a PDF of these objects, numbered from 1; the first is its catalog."""
    data, offsets = b"%PDF-1.7\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"xref\n0 {len(offsets) + 1}\n0000000000 65535 f \n{table}trailer\n"
    end += f"<< /Size {len(offsets) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + end.encode()


_APPEARANCE = "BT /F 40 Tf 10 10 Td (Signed) Tj ET"
FORM = write_pdf(
    "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] >> >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Annots [4 0 R] >>",
    "<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Signed) /Rect [0 0 200 50] /P 3 0 R /F 4"
    " /AP << /N 5 0 R >> >>",
    "<< /Type /XObject /Subtype /Form /BBox [0 0 200 50] /Resources << /Font << /F"
    f" << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> /Length {len(_APPEARANCE)} >>\n"
    f"stream\n{_APPEARANCE}\nendstream",
)
HALF_BROKEN = write_pdf(
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R 9 0 R 4 0 R] /Count 3 >>",
    *["<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"] * 2,
)
LABELLED = write_pdf(
    "<< /Type /Catalog /Pages 2 0 R /PageLabels << /Nums [0 << /S /r >> 2 << /S /D >>] >> >>",
    "<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 >>",
    *["<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"] * 3,
)

COVER = write_pdf(  # its first page has no label, the second is page 1
    "<< /Type /Catalog /Pages 2 0 R /PageLabels << /Nums [0 << >> 1 << /S /D >> 3 << /P ([1]) >>] >> >>",
    "<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R 6 0 R] /Count 4 >>",
    *["<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"] * 4,
)


def _encrypt(password: bytes) -> bytes:
    """Write a PDF that opens with this password: 40-bit RC4, see the PDF 1.7 reference, section 7.6.3."""
    pad = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")

    def rc4(key: bytes, data: bytes) -> bytes:
        state, j = list(range(256)), 0
        for i in range(256):
            j = (j + state[i] + key[i % len(key)]) % 256
            state[i], state[j] = state[j], state[i]
        out, i, j = bytearray(), 0, 0
        for byte in data:
            i = (i + 1) % 256
            j = (j + state[i]) % 256
            state[i], state[j] = state[j], state[i]
            out.append(byte ^ state[(state[i] + state[j]) % 256])
        return bytes(out)

    file_id, permissions = b"0123456789abcdef", -4
    owner = rc4(hashlib.md5((b"owner" + pad)[:32]).digest()[:5], (password + pad)[:32])
    key = hashlib.md5(
        (password + pad)[:32] + owner + ctypes.c_uint32(permissions).value.to_bytes(4, "little") + file_id
    )
    user = rc4(key.digest()[:5], pad)
    return write_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        trailer=f"/ID [<{file_id.hex()}> <{file_id.hex()}>] /Encrypt << /Filter /Standard /V 1 /R 2 /Length 40 "
        f"/P {permissions} /O <{owner.hex()}> /U <{user.hex()}> >>",
    )


LOCKED = _encrypt(b"open")
