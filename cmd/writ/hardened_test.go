package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// hardened fails unless each process that runs in the background keeps its memory
// to itself, and has nothing of the real key or of the passphrases in its
// environment and arguments: hardened PASSPHRASEFILE.
//
// Source: proc(5), /proc/pid: the files of a process that is not dumpable are root's.
func hardened(ts *testscript.TestScript, neg bool, args []string) {
	if runtime.GOOS != "linux" {
		return
	}
	secrets := []string{realKey, strings.TrimSpace(ts.ReadFile(args[0]))}
	procs := ts.BackgroundCmds()
	if neg || len(procs) == 0 {
		ts.Fatalf("nothing runs in the background")
	}
	for _, c := range procs {
		dir := fmt.Sprintf("/proc/%d/", c.Process.Pid)
		limits, err := os.ReadFile(dir + "limits")
		ts.Check(err)
		if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
			ts.Fatalf("it would leave a core dump:\n%s", limits)
		}
		st, err := os.Stat(dir + "environ")
		ts.Check(err)
		if uid := st.Sys().(*syscall.Stat_t).Uid; uid != 0 {
			ts.Fatalf("it is dumpable: its files are of user %d", uid)
		}
		for _, name := range []string{"environ", "cmdline"} {
			b, err := os.ReadFile(dir + name)
			if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
				continue // nobody else can read it either
			}
			ts.Check(err)
			if len(b) == 0 {
				ts.Fatalf("%s%s is empty", dir, name)
			}
			for _, s := range secrets {
				for _, form := range []string{s, hex.EncodeToString([]byte(s)), url.QueryEscape(s), base64.RawStdEncoding.EncodeToString([]byte(s))} {
					if strings.Contains(string(b), form) {
						ts.Fatalf("%s%s holds a secret", dir, name)
					}
				}
			}
		}
	}
}
