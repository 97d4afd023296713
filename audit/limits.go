package audit

// maxDelayS is how many seconds may lie between the time that a decision was made
// for and that of its receipt: waiting for a disk, not for a policy to end.
const maxDelayS = 60
