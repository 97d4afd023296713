package pggw

import "time"

// Bounds of what comes in, and of waiting.
const (
	maxStartup      = 15 * time.Second // from the first byte to a known holder, TLS included
	maxPassword     = 120 << 10        // bytes of the message that carries a credential
	maxMessage      = 64 << 20         // bytes of any other, once the holder is known
	maxValues       = 900 << 10        // bytes of the values of one execution: its evidence has at most 1 MiB
	maxOwed         = 1024             // answers of the server that are read together
	maxOut          = 1 << 20          // bytes that wait for the server, and one message more
	maxFarewell     = time.Second      // for a client to take the reason why its session ends
	maxDrain        = 30 * time.Second // for what is under way when the gate stops
	maxStall        = 60 * time.Second // for a client to take what it is sent
	catalogAge      = time.Second      // after it names are looked up afresh, if something changed
	copyPiece       = 64 << 10         // bytes of COPY that are sent together
	flushEvery      = 128              // messages to a client that are sent together
	flushBytes      = 14 << 10         // bytes of them: with one more they are about a record of TLS
	parserProcesses = 2
)
