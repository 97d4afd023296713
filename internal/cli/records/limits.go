package records

const (
	maxListed     = 200     // receipts that a listing shows: the newest
	maxBundleFile = 1 << 34 // bytes of one part of a bundle: 16 GiB
)
