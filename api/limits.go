package api

// maxBodyBytes bounds a request body that is signed: it is read whole, since the
// proof covers its digest.
const maxBodyBytes = 2 << 20
