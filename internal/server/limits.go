package server

import "time"

// tallyEvery is the least time between two receipts of kind tally.
const tallyEvery = time.Second
