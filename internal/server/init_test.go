package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
)

// Init takes the names that a root takes, and no others: what it makes can be
// listed in one.
func TestInitNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 128)
	for name, c := range map[string]struct {
		change func(*server.Setup)
		ok     bool
	}{
		"plain":           {func(*server.Setup) {}, true},
		"every character": {func(s *server.Setup) { s.Gate = "aZ09-_.@:/" }, true},
		"a space":         {func(s *server.Setup) { s.Gate = "Ga te" }, false},
		"empty":           {func(s *server.Setup) { s.Gate = "" }, false},
		"a +":             {func(s *server.Setup) { s.Gate = "a+b" }, false},
		"too long":        {func(s *server.Setup) { s.Gate = long }, false},
		"group":           {func(s *server.Setup) { s.Group = "gr\u00fcn" }, false},
		"domain":          {func(s *server.Setup) { s.Domain = "a\nb" }, false},
		"region":          {func(s *server.Setup) { s.Region = "e u" }, false},
		"log origin":      {func(s *server.Setup) { s.LogOrigin = "a b" }, false},
		"listen":          {func(s *server.Setup) { s.Listen = "127.0.0.1" }, false},
		"control":         {func(s *server.Setup) { s.Control = ":x" }, false},
	} {
		s := server.Setup{
			Dir: filepath.Join(t.TempDir(), "srv"), Gate: "gate-1", Group: "main", Domain: "main/gate-1", LogOrigin: "writ/main",
			Listen: "127.0.0.1:8443", Origin: "https://127.0.0.1:8443", Hosts: []string{"127.0.0.1"}, Insecure: true,
		}
		c.change(&s)
		info, err := server.Init(s)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			if _, err := os.Stat(s.Dir); err == nil {
				t.Errorf("%s: the folder was made", name)
			}
			continue
		}
		listed(t, info)
	}
}

// listed fails unless a root can list the gate.
func listed(t *testing.T, info *server.Info) {
	t.Helper()
	var d policy.RootDocument
	b, err := json.Marshal(testkit.NewZone(t).Root.Document())
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Gates, d.PolicyLog = []policy.Gate{info.Gate}, info.PolicyLog
	payload, err := canon.EncodeJSON(&d)
	if err == nil {
		_, err = policy.ParseRoot(payload)
	}
	if err != nil {
		t.Errorf("no root lists %q: %v", info.Gate.ID, err)
	}
}
