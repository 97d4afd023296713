package identity

// maxKeyFileBytes bounds a key file: a PKCS #8 key is 140 bytes at most.
const maxKeyFileBytes = 4 << 10
