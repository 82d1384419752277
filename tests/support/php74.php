<?php
// Names what PHP 7.4 would not understand in the files given: one line for each place. PHP 8 reads
// the tokens.
$later = ['T_MATCH', 'T_NULLSAFE_OBJECT_OPERATOR', 'T_ATTRIBUTE', 'T_ENUM', 'T_READONLY'];
$functions = ['str_contains', 'str_starts_with', 'str_ends_with', 'array_is_list', 'get_debug_type',
    'get_resource_id', 'fdiv', 'array_find', 'array_any', 'array_all', 'mb_str_pad',
    'json_validate', 'preg_last_error_msg', 'stream_context_set_options', 'enum_exists',
    'ini_parse_quantity'];
$types = ['mixed', 'never', 'null', 'false', 'true'];

foreach (array_slice($argv, 1) as $file) {
    $tokens = array_values(
        array_filter(PhpToken::tokenize(file_get_contents($file)), fn($t) => !$t->isIgnorable()));
    $say = fn(PhpToken $t, string $what) => print(basename($file) . ":{$t->line}: $what\n");
    $depth = 0;
    $lists = []; // depths at which a list of parameters is open
    foreach ($tokens as $i => $t) {
        $before = $tokens[$i - 1] ?? $t;
        $after = $tokens[$i + 1] ?? $t;
        $in_list = $lists && end($lists) === $depth;
        if (in_array($t->getTokenName(), $later, true))
            $say($t, $t->text);
        if ($t->id === T_STRING && in_array(strtolower($t->text), $functions, true)
            && $after->text === '(')
            $say($t, "{$t->text}()");
        if ($t->text === '(') {
            $depth++;
            // function name(, function (, fn(
            $two = $tokens[$i - 2] ?? $t;
            if ($before->is([T_FUNCTION, T_FN]) || $two->is([T_FUNCTION, T_FN])
                || ($two->text === '&' && ($tokens[$i - 3] ?? $t)->is([T_FUNCTION])))
                $lists[] = $depth;
        } elseif ($t->text === ')') {
            if ($in_list) {
                array_pop($lists);
                if ($before->text === ',')
                    $say($t, 'a comma behind the last parameter');
                if ($after->text === ':' && in_array(strtolower($tokens[$i + 2]->text),
                                                     array_merge($types, ['static']), true))
                    $say($t, "the type {$tokens[$i + 2]->text}");
                if ($after->text === ':'
                    && in_array(($tokens[$i + 3] ?? $t)->text, ['|', '&'], true))
                    $say($t, 'a union type');
            }
            $depth--;
        } elseif ($in_list) {
            if ($t->is([T_PUBLIC, T_PRIVATE, T_PROTECTED]))
                $say($t, 'a promoted parameter');
            if ($t->text === '|')
                $say($t, 'a union type');
            if ($t->id === T_STRING && in_array(strtolower($t->text), $types, true)
                && $after->is([T_VARIABLE]))
                $say($t, "the type {$t->text}");
        }
        if (in_array($before->text, ['(', ','], true) && $t->id === T_STRING
            && $after->text === ':')
            $say($t, "the named argument {$t->text}");
        if ($t->id === T_THROW && !in_array($before->text, [';', '{', '}', ')', 'else'], true)
            && !$before->is([T_OPEN_TAG, T_ELSE]))
            $say($t, 'throw in an expression');
        if ($t->id === T_CATCH) {
            for ($j = $i; $tokens[$j]->text !== ')'; $j++);
            if (!$tokens[$j - 1]->is([T_VARIABLE]))
                $say($t, 'a catch without a variable');
        }
        if ($t->is([T_PUBLIC, T_PRIVATE, T_PROTECTED]) && ($tokens[$i + 2]->text ?? '') === '|')
            $say($t, 'a union type');
    }
}
