<?php
/**
 * Plugin Name: Live comments with ssecast
 * Description: Shows approved comments in open pages at once, through ssecast.
 * Version: 1.0
 * Requires PHP: 7.4
 * License: Apache-2.0
 *
 * Install: copy this file and ssecast.php (client/php; installed:
 * /usr/share/php/ssecast/ssecast.php) to wp-content/plugins/ssecast-live-comments/, activate it,
 * and put into wp-config.php, above "That's all" (with Debian's package into
 * /etc/wordpress/config-HOST.php):
 *     define('SSECAST_URL', 'https://example.org/sse'); // the streams, as the server reaches them
 *     define('SSECAST_TOKEN', '…');        // docs/php.md makes it: may publish to channels post:*
 *     define('SSECAST_PATH', '/sse');      // the streams, as browsers reach them; the default
 * The worker: publish = yes, jwt-secret-file, session-from = none, and channels-from as it is (the
 * query). Whoever can see a post may read its channel: comments of private and protected posts are
 * never published.
 */

defined('ABSPATH') || exit;
require_once __DIR__ . '/ssecast.php';

/** The channel of a post, or null if its comments are not for everyone. */
function ssecast_comments_channel(int $post_id): ?string
{
    $post = get_post($post_id);
    if (!$post || get_post_status($post) !== 'publish' || !empty($post->post_password))
        return null;
    return 'post:' . $post_id;
}

/** What a page shows of a comment. No address of mail or network leaves the server. */
function ssecast_comments_data($comment): array
{
    return [
        'id' => (int) $comment->comment_ID,
        'post' => (int) $comment->comment_post_ID,
        'parent' => (int) $comment->comment_parent,
        'author' => wp_strip_all_tags((string) $comment->comment_author),
        'text' => wp_strip_all_tags((string) $comment->comment_content),
    ];
}

/**
 * Publishes. An error is written to the log: a comment is saved, whether pages learn of it or not.
 */
function ssecast_comments_publish(string $event, $comment): void
{
    $channel = $comment ? ssecast_comments_channel((int) $comment->comment_post_ID) : null;
    if ($channel === null || !defined('SSECAST_URL') || !defined('SSECAST_TOKEN'))
        return;
    $data = $event === 'comment'
        ? ssecast_comments_data($comment) : ['id' => (int) $comment->comment_ID];
    try {
        \Ssecast\Client::http(SSECAST_URL, SSECAST_TOKEN, 2.0)
            ->publish($event, $data, ['to' => ['channels' => [$channel]]]);
    } catch (\Ssecast\Failure | \Ssecast\BadValue $e) {
        error_log('ssecast: ' . $e->getMessage());
    }
}

/** A new comment that needs no approval. */
function ssecast_comments_on_post($id, $approved): void
{
    if ($approved === 1 || $approved === '1')
        ssecast_comments_publish('comment', get_comment($id));
}

/** A comment that is approved later, or taken away. */
function ssecast_comments_on_status($new, $old, $comment): void
{
    if ($new === 'approved' && $old !== 'approved')
        ssecast_comments_publish('comment', $comment);
    elseif ($old === 'approved' && $new !== 'approved')
        ssecast_comments_publish('comment-removed', $comment);
}

/**
 * The script of a post's page. Text is put into the page as text, so nothing in a comment can
 * become markup.
 */
function ssecast_comments_script(): void
{
    $channel = is_singular() ? ssecast_comments_channel((int) get_queried_object_id()) : null;
    if ($channel === null)
        return;
    $path = defined('SSECAST_PATH') ? SSECAST_PATH : '/sse';
    $url = $path . '?' . http_build_query(['channel' => $channel]);
    $encoded = wp_json_encode($url, JSON_HEX_TAG | JSON_HEX_AMP);
    echo <<<HTML
<script>
(function () {
  var source, cursor = "";
  function on(name, run) {
    source.addEventListener(name, function (event) {
      cursor = event.lastEventId || cursor;
      run(event);
    });
  }
  function show(event) {
    var comment = JSON.parse(event.data),
        list = document.querySelector(".comment-list, .wp-block-comment-template");
    if (!list || document.getElementById("comment-" + comment.id)) return;
    var item = document.createElement("li"), author = document.createElement("b"),
        text = document.createElement("p");
    item.id = "comment-" + comment.id;
    item.className = "comment ssecast-comment";
    author.textContent = comment.author;
    text.textContent = comment.text;
    item.append(author, text);
    list.append(item);
  }
  function remove(event) {
    var item = document.getElementById("comment-" + JSON.parse(event.data).id);
    if (item) item.remove();
  }
  function open() {
    source = new EventSource($encoded + (cursor && "&lastEventId=" + encodeURIComponent(cursor)));
    on("ssecast.checkpoint", function () {});
    on("comment", show);
    on("comment-removed", remove);
  }
  // A browser may keep the page for the way back. Its stream then goes on after the last event.
  addEventListener("pagehide", function () { source.close(); });
  addEventListener("pageshow", function (event) { if (event.persisted) open(); });
  open();
})();
</script>

HTML;
}

add_action('comment_post', 'ssecast_comments_on_post', 10, 2);
add_action('transition_comment_status', 'ssecast_comments_on_status', 10, 3);
add_action('wp_footer', 'ssecast_comments_script');
