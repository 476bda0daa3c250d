package store

// OpenSeen is Open with a function that is called with the text of every statement.
var OpenSeen = open
