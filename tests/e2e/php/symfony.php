<?php
// A Symfony application of one file: its container reads services.yaml.
foreach (['DependencyInjection', 'Config', 'Yaml', 'HttpFoundation'] as $part)
    require_once "Symfony/Component/$part/autoload.php";
require_once __DIR__ . '/SsecastPublisher.php';

use App\Ssecast\SsecastPublisher;
use Symfony\Component\Config\FileLocator;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\Loader\YamlFileLoader;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;

$container = new ContainerBuilder();
(new YamlFileLoader($container, new FileLocator(__DIR__)))->load('services.yaml');
$container->getDefinition(SsecastPublisher::class)->setPublic(true);
$container->compile(true);
$ssecast = $container->get(SsecastPublisher::class);

$request = Request::createFromGlobals();
if ($request->get('action') === 'login')
    $response = $ssecast->authorize(new JsonResponse('in'), $request->get('user'), ['news'], $request->isSecure());
elseif ($request->get('action') === 'logout')
    $response = $ssecast->forget(new JsonResponse('out'), $request->isSecure());
else
    $response = new JsonResponse([$ssecast->publish('shipped', ['order' => 17], ['to' => ['sessions' => [$request->get('user')]]]),
        $ssecast->publishAll([['text' => 'a', 'to' => ['channels' => ['news']]]])]);
$response->send();
