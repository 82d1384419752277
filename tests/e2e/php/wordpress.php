<?php
// What live-comments needs of WordPress, with the names and signatures of wp-includes (6.1): hooks,
// posts and comments.
define('ABSPATH', __DIR__ . '/');
$in = json_decode(stream_get_contents(STDIN), true);
define('SSECAST_URL', $in['url']);
define('SSECAST_TOKEN', $in['token']);
$hooks = [];

function add_action($hook_name, $callback, $priority = 10, $accepted_args = 1)
{
    $GLOBALS['hooks'][$hook_name][] = [$callback, $accepted_args];
    return true;
}

function do_action($hook_name, ...$arg)
{
    foreach ($GLOBALS['hooks'][$hook_name] ?? [] as [$callback, $accepted])
        $callback(...array_slice($arg, 0, $accepted));
}

function get_post($post = null)
{
    return isset($GLOBALS['in']['posts'][$post]) ? (object) $GLOBALS['in']['posts'][$post] : null;
}

function get_post_status($post = null)
{
    return $post->post_status;
}

function get_comment($comment = null)
{
    return (object) $GLOBALS['in']['comments'][$comment];
}

function wp_strip_all_tags($text, $remove_breaks = false)
{
    return trim(strip_tags(preg_replace('@<(script|style)[^>]*?>.*?</\\1>@si', '', $text)));
}

function wp_json_encode($value, $flags = 0, $depth = 512)
{
    return json_encode($value, $flags, $depth);
}

function is_singular($post_types = '')
{
    return isset($GLOBALS['in']['shown']);
}

function get_queried_object_id()
{
    return $GLOBALS['in']['shown'];
}

require __DIR__ . '/ssecast-live-comments.php';
foreach ($in['actions'] as $action) {
    if ($action[0] === 'transition_comment_status')
        $action[3] = get_comment($action[3]);
    do_action(...$action);
}
