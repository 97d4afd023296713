package main

import "time"

const (
	maxTest = 2 * time.Minute  // for the tests of one guard in one package: longer is a hang
	maxRun  = 15 * time.Minute // for go test as a whole: a cold build on a slow machine takes minutes
	maxStop = 10 * time.Second // for go test to end its tests when interrupted
	maxJobs = 2                // guards at once: go test itself uses all cores
)
