package obs

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/static"
)

// values replace the placeholders of a sentence: text, whole numbers, and numbers with one decimal.
type values map[string]any

// english contains the sentences that the terminal shares with the dock.
var english = sync.OnceValue(func() map[string]string {
	words, err := static.Sentences("en")
	if err != nil {
		panic("the sentences are not embedded: " + err.Error())
	}
	return words
})

// errorOf returns an error with the sentence of a key.
func errorOf(kind error, key string, v values) *stage.Error {
	return stage.Errorf(kind, "%s", inEnglish(key, v))
}

var blank = regexp.MustCompile(`\{\w+\}`)

// inEnglish returns the sentence of a key, and fills in its placeholders as the pages do.
func inEnglish(key string, v values) string {
	text, known := english()[key]
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
