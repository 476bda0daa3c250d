package whip_test

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/whip"
)

func TestParseICEServer(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"stun:stun.example.net":                            true,
		"stun:192.0.2.7:3478":                              true,
		"turn:turn.example.net":                            true,
		"turn:turn.example.net:3478?transport=udp":         true,
		"turns:turn.example.net:443?transport=tcp":         true,
		"turn:[2001:db8::1]:3478":                          true,
		"turn.example.net":                                 false,
		"https://turn.example.net":                         false,
		"turn://turn.example.net":                          false,
		"turn:":                                            false,
		"turn:turn.example.net:0":                          false,
		"turn:turn.example.net:x":                          false,
		"turn:turn.example.net?transport=sctp":             false,
		"stun:stun.example.net?transport=udp":              false,
		"turn:ana:secret@turn.example.net":                 false,
		"turn:a>; rel=\"x":                                 false,
		"turn:turn.example.net:3478?transport=udp\r\nX: y": false,
	} {
		if err := whip.ParseICEServer(text); (err == nil) != good {
			t.Errorf("%q: got %v, want good: %v", text, err, good)
		}
	}
}
