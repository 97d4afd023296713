package shell

import "time"

const (
	maxFileBytes   = 1 << 20         // bytes of any document that a command reads
	maxSecretBytes = 32 << 10        // bytes of a value or passphrase that a command reads
	progressAfter  = 2 * time.Second // before a command says what it is waiting for
)
