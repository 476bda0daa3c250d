// Package words provides the English sentences that Go shares with the pages. They are in
// static/strings/en.json.
package words

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/static"
)

// Values replace the placeholders of a sentence: texts, whole numbers and decimal numbers.
type Values map[string]any

var sentences = sync.OnceValue(func() map[string]string {
	english, err := static.Sentences("en")
	if err != nil {
		panic("the sentences are not embedded: " + err.Error())
	}
	return english
})

// Error returns an error with the sentence of a key.
func Error(kind error, key string, v Values) *stage.Error {
	return stage.Errorf(kind, "%s", English(key, v))
}

var blank = regexp.MustCompile(`\{\w+\}`)

// English returns the sentence of a key, and fills in its placeholders as the pages do. A key
// without a sentence is returned unchanged.
func English(key string, v Values) string {
	text, known := sentences()[key]
	if !known {
		text = key
	}
	return blank.ReplaceAllStringFunc(text, func(name string) string {
		switch value := v[name[1:len(name)-1]].(type) {
		case nil:
			return name
		case float64:
			return strconv.FormatFloat(value, 'f', -1, 64)
		default:
			return fmt.Sprint(value)
		}
	})
}
