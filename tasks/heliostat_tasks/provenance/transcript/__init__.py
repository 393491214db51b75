"""Transcripts: signed commitments, checkpoints and a log of a training, in files.

| module | subject |
|---|---|
| ``file_format`` | names of the files, steps of the checkpoints |
| ``writer`` | the prover writes: the commitment first, the rest after the training |
| ``nonce`` | a verifier answers a commitment with a nonce |
| ``signing`` | Ed25519 signatures over DSSE envelopes |
| ``reader`` | a stranger's transcript is read: every file once, up to its limit |
| ``files``, ``schema`` | regular files through no link; tables, integers and digits |
| ``commitment``, ``checkpoints`` | checks of the signed statements |
| ``tensors`` | safetensors files; a stranger's hostile tensor file is refused here |
"""
