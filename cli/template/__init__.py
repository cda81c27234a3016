"""Go's text/template, as `docker --format` uses it: lexer, parser, evaluator, functions, and Go's fmt."""
