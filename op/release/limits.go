package release

// maxNameBytes bounds a name in a document.
const maxNameBytes = 128
