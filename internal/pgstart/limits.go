package pgstart

import "time"

// maxStart bounds how long a server may take to answer: on a busy machine, some seconds.
const maxStart = 60 * time.Second
