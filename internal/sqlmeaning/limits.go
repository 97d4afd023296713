package sqlmeaning

const (
	maxMapped     = 4096     // statements kept with what they do
	maxMappedText = 16 << 10 // bytes of a text that is kept
)
