"""Certificates and kubeconfigs of one control plane, made by openssl in a folder.

Keys are on P-256: a set of eight takes a tenth of a second, RSA took two.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from .commands import Words, run

DAYS = "3650"


class Authority:
    """A certificate authority in `folder`. Every file is made once and kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self._key = folder / "ca.key"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.certificate.exists():
            self._make_key(self._key)
            subject = "/CN=rag-operator-bench"
            part = self._new(self.certificate)
            run(["openssl", "req", "-x509", "-new", "-key", self._key, "-subj", subject, "-days", DAYS, "-out", part])
            part.rename(self.certificate)

    def issue(self, name: str, subject: str, alternatives: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """Certificate and key for `subject` (``/O=group/CN=user``), good for clients and,
        with `alternatives` (``IP:10.0.0.1``, ``DNS:localhost``), for servers."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if certificate.exists():
            return certificate, key
        self._make_key(key)
        extensions = self.folder / f"{name}.ext"
        lines = ["keyUsage=critical,digitalSignature", "extendedKeyUsage=clientAuth,serverAuth"]
        if alternatives:
            lines.append("subjectAltName=" + ",".join(alternatives))
        extensions.write_text("\n".join(lines) + "\n")
        request = run(["openssl", "req", "-new", "-key", key, "-subj", subject]).stdout
        part = self._new(certificate)
        signer: Words = ["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", DAYS]
        run(["openssl", "x509", "-req", *signer, "-extfile", extensions, "-out", part], stdin=request)
        part.rename(certificate)
        return certificate, key

    def service_account_keys(self) -> tuple[Path, Path]:
        """Private and public key that sign and check service-account tokens."""
        private, public = self.folder / "service-account.key", self.folder / "service-account.pub"
        if not public.exists():
            self._make_key(private)
            run(["openssl", "pkey", "-in", private, "-pubout", "-out", public])
        return private, public

    def kubeconfig(self, path: Path, server: str, name: str, subject: str) -> Path:
        """Write a kubeconfig at `path` for `subject` at `server`, certificates inside."""
        certificate, key = self.issue(name, subject)

        def data(file: Path) -> str:
            return base64.b64encode(file.read_bytes()).decode()

        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "rag-bench",
            "contexts": [{"name": "rag-bench", "context": {"cluster": "rag-bench", "user": name}}],
            "clusters": [
                {
                    "name": "rag-bench",
                    "cluster": {"server": server, "certificate-authority-data": data(self.certificate)},
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {"client-certificate-data": data(certificate), "client-key-data": data(key)},
                }
            ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self._new(path)
        part.touch(mode=0o600)
        part.write_text(json.dumps(document, indent=1))  # JSON is YAML
        part.rename(path)
        return path

    @staticmethod
    def _new(path: Path) -> Path:
        """Name to write under before renaming, so that a file that exists is a whole one."""
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        return part

    @staticmethod
    def _make_key(path: Path) -> None:
        run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path])
        path.chmod(0o600)
