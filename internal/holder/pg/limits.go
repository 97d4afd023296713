package pg

import "time"

// Bounds of what comes in before a session stands, and of waiting. Once it stands,
// what passes is the gate's to bound.
const (
	maxStartup      = 15 * time.Second // for a client to say what it wants
	maxRounds       = 4                // requests for encryption before a startup message
	maxStartupBytes = 8 << 10          // bytes of that message: the gate takes 10,000, and a purpose is added
	maxPurposeBytes = 128              // bytes of a purpose; source: package policy
	maxConnect      = 60 * time.Second // for the gate to let a client in: it goes to the server first
	maxAnswers      = 16               // messages of the gate before the session stands
	maxAnswerBytes  = 64 << 10         // bytes of one of them
	maxSessions     = 512              // clients at a time
	maxCallers      = 512              // of those that have not said what they want yet
	maxTokenBytes   = 256              // bytes of a password on a port
	maxSocketBytes  = 107              // bytes of a Unix socket's name; source: unix(7)
)
